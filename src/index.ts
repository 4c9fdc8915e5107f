/**
 * The programmatic surface: read and analyse results files, open storages, keep objects in them, and write storages and
 * scenarios (those also under the subpaths `shootout/storage` and `shootout/scenario`).
 */

export { analyse } from './analysis/analyse.ts'
export type { Filters } from './analysis/filters.ts'
export type * from './analysis/model.ts'
export type { Interval } from './analysis/stats/median-interval.ts'
export { type ConfigFile, defineConfig } from './cli/config-file.ts'
export type { ContenderRequest } from './cli/contenders.ts'
export type { MixedSizes, RecordSizes, UniformSizes } from './core/record-sizes.ts'
export * from './database/index.ts'
export { type Results, type ResultsWarning, readResults } from './results/reader.ts'
export type * from './results/schema.ts'
export { defineScenario } from './scenarios/scenario.ts'
export { openStorage } from './storages/open.ts'
export { loadStorageModule, storageNames, storageUrl } from './storages/registry.ts'
export { defineStorage } from './storages/storage.ts'
