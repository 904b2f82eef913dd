import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../architecture/sources.ts'
import { allAttacks, attackTable, TABLE, threatRows } from './attack-table.ts'

/** Writes docs/attacks.md anew, after an attack or a row of the threat model was added. */
writeFileSync(join(ROOT, TABLE), attackTable(allAttacks(), threatRows()))
