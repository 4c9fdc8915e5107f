/** What a module with a scenario of its own imports: `shootout/scenario`. */

export * from '../core/errors.ts'
export * from '../core/ids.ts'
export { Random } from '../core/random.ts'
export type { MixedSizes, RecordSizes, UniformSizes } from '../core/record-sizes.ts'
export * from '../database/index.ts'
export * from '../storages/storage.ts'
export {
  type DatasetPlan,
  datasetIdentity,
  fillDataset,
  openPayload,
  ownItems,
  sharedItems,
} from './dataset.ts'
export { ItemSet, itemSetPlan, itemsPerWorker } from './item-set.ts'
export { Item, indexOf, Payload, sharedOwner, versionOf } from './payload.ts'
export { mustBeAtLeast, mustBeAtMost, mustEqual } from './prove.ts'
export { type Reading, readInPasses } from './read-passes.ts'
export {
  canonicalScenarioName,
  headlineScenarioNames,
  loadScenarioModule,
  scenarioAliases,
  scenarioNames,
  scenarioUrl,
} from './registry.ts'
export * from './scenario.ts'
