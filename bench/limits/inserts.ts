import { insertRate } from '../import.ts'

// The maximum rate of inserting users into SQLite: `bun bench/limits/inserts.ts <file> <users>`

const [file = ':memory:', users = '100000'] = process.argv.slice(2)
console.log(JSON.stringify({ rate: insertRate(file, Number(users)) }))
