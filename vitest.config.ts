import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    // Unit tests run the sources; tests that start processes run what `tsc -b` built.
    alias: [{ find: /^@sealmesh\/(protocol|sodium|relay|node)\/(.*)$/, replacement: here('packages/$1/src/$2.ts') }],
  },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/src/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
