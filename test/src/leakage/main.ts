import { leakageTable, measure } from './measure.ts'

process.stdout.write(`${leakageTable(await measure())}\n`)
