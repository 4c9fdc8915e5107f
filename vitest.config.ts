import { defineConfig } from 'vitest/config'

// `source` imports src directly. `built` starts threads and processes, which need real .js entry files, so it
// imports the built package by its name; a global set-up builds it first. `cluster` starts clusters of database servers.
// `mysql` runs the tests of that storage, which otherwise use MariaDB where it is installed, on MySQL. Both are no part of
// `npm test`, but run by `npm run test:cluster` and `npm run test:mysql`.
// What is waited for comes at once, unless the machine is busy: nothing is failed for being late.
const expectation = { poll: { timeout: 60_000, interval: 20 } }

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'source',
          include: ['test/**/*.test.ts'],
          exclude: ['test/built/**', 'test/cluster/**', 'test/mysql/**'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          expect: expectation,
          // Most of the time goes into waiting for disks and servers.
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: 'built',
          include: ['test/built/**/*.test.ts'],
          globalSetup: ['test/built/build.ts'],
          testTimeout: 300_000,
          hookTimeout: 60_000,
          expect: expectation,
          // These start processes by the dozen, which mostly take turns: when the others are through, three files at a time.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          testTimeout: 120_000,
          // Clusters take some seconds to form, and to get over the loss of a node.
          hookTimeout: 180_000,
          expect: expectation,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'mysql',
          include: [
            'test/mysql/**/*.test.ts',
            'test/storages/sql/{mysql,conformance-mysql,blobs,blob-cache,abort-waiting}.test.ts',
            'test/storages/copy/copy.test.ts',
            'test/built/{sql-servers,sql-sharing}.test.ts',
          ],
          globalSetup: ['test/built/build.ts', 'test/mysql/prepare.ts'],
          env: { SHOOTOUT_REQUIRE: 'mysql' },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          expect: expectation,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
