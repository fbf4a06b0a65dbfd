import { insertAtMost } from '../import.ts'

// How many users a second SQLite takes at all: `bun bench/limits/inserts.ts <file> <users>`

const [file = ':memory:', users = '100000'] = process.argv.slice(2)
console.log(JSON.stringify({ rate: insertAtMost(file, Number(users)) }))
