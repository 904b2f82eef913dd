import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const ALL = ['packages/*/src/**/*.test.ts', 'test/src/**/*.test.ts']
/** Tests that compare what things cost. */
const ALONE = ['{packages/*,test}/src/**/*-many.process.test.ts']
/** Tests that start real nodes and relays, kill them and cut their power. */
const PROCESSES = [
  'test/src/{canary,cli,crash,e2e,power-cut,processes,relay,store}/**/*.test.ts',
  '{packages/*,test}/src/**/*.process.test.ts',
]

export default defineConfig({
  resolve: {
    // Unit tests run the sources; tests that start processes run what `tsc -b` built.
    alias: [
      { find: /^@sealmesh\/(protocol|sodium|relay|node|agent|mcp)\/(.*)$/, replacement: here('packages/$1/src/$2.ts') },
    ],
  },
  test: {
    // Named, so that no environment variable changes it: the last lines are always the summary.
    reporters: ['default'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ALL,
          exclude: [...configDefaults.exclude, ...PROCESSES],
          // Vitest's own choice leaves one core idle, and of two that is half.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: PROCESSES,
          exclude: [...configDefaults.exclude, ...ALONE],
          // Two files at a time: each starts several processes, which wait for one another more than they work.
          maxWorkers: 2,
          testTimeout: 180_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ALONE,
          fileParallelism: false,
          testTimeout: 180_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
