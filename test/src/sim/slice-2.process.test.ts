import { slice } from './slice.ts'

slice(2)
