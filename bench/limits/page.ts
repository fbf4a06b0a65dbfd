import { readFileSync } from 'node:fs'

// Answers every request with the bytes of one file: the lower bound of what a page costs.
//
//   bun bench/limits/page.ts <port> <file>

const [port = '', file = ''] = process.argv.slice(2)
const page = readFileSync(file, 'utf8')
Bun.serve({
  hostname: '127.0.0.1',
  port: Number(port),
  fetch: () => new Response(page, { headers: { 'content-type': 'text/html; charset=utf-8' } }),
})
