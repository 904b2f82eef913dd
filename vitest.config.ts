import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const ALL = ['packages/*/src/**/*.test.ts', 'test/src/**/*.test.ts']
/** Tests in `test/src` start real nodes and relays, cut their power and count on their timing. */
const PROCESSES = ['test/src/**/*.test.ts', 'packages/*/src/**/*.process.test.ts']
/** Lives in `test/src` for reaching across packages, and starts nothing that runs on. */
const LIGHT = ['test/src/architecture/**', 'test/src/import/**']

export default defineConfig({
  resolve: {
    // Unit tests run the sources; tests that start processes run what `tsc -b` built.
    alias: [{ find: /^@sealmesh\/(protocol|sodium|relay|node)\/(.*)$/, replacement: here('packages/$1/src/$2.ts') }],
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
          include: [...ALL.slice(0, 1), ...LIGHT.map((folder) => `${folder}/*.test.ts`)],
          exclude: [...configDefaults.exclude, ...PROCESSES.slice(1)],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: PROCESSES,
          exclude: [...configDefaults.exclude, ...LIGHT],
          // One file at a time: each starts several processes, and two cores are all that CI has.
          fileParallelism: false,
          testTimeout: 180_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
