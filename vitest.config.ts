import { defineConfig } from 'vitest/config'

// `source` imports src directly. `built` starts threads and processes, which need real .js entry files, so it
// imports the built package by its name; a global set-up builds it first. `cluster` starts clusters of database servers;
// it is no part of `npm test`, but run by `npm run test:cluster`.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'source',
          include: ['test/**/*.test.ts'],
          exclude: ['test/built/**', 'test/cluster/**'],
          testTimeout: 30_000,
          // Most of the time goes into waiting for disks and servers.
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'built',
          include: ['test/built/**/*.test.ts'],
          globalSetup: ['test/built/build.ts'],
          testTimeout: 120_000,
          fileParallelism: false,
          // These start processes by the dozen: when the others are through, one file at a time.
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
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
