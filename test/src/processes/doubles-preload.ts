import { registerDoubles } from './doubles.ts'

registerDoubles()
