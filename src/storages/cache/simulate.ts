/**
 * The simulator: what a policy would have made of a trace. Starts empty, counts every request, and agrees with the
 * published simulators to the last hit where a policy leaves nothing to chance.
 *
 * An entry larger than the capacity is never inserted and evicts nothing. A request with another size than before
 * finds the old copy and counts as a hit. A store inserts, but it is not a request.
 */

import { UsageError } from '../../core/errors.ts'
import { Ghosts, ghostWords } from './ghosts.ts'
import { Nodes, nodeWeightMax, nodeWords } from './nodes.ts'
import { type PolicyDefinition, policyStateLength } from './policy.ts'
import type { Trace } from './trace.ts'

export interface SimulationOptions {
  /** What the capacity counts: bytes, or entries of whatever size. Default bytes. */
  readonly unit?: 'bytes' | 'entries'
  /** Bytes that each entry takes beside its own. Default 0. */
  readonly overheadBytes?: number
  /** Called after every event, with the weight in the cache. For tests. */
  readonly onEvent?: (weight: number) => void
}

export interface SimulationResult {
  readonly policy: string
  readonly capacity: number
  readonly requests: number
  readonly misses: number
  readonly requestedBytes: number
  readonly missedBytes: number
  readonly evictions: number
  /** Misses / requests; 0 for an empty trace. */
  readonly missRatio: number
  /** Missed bytes / requested bytes. */
  readonly byteMissRatio: number
}

/**
 * @param capacity in the unit of the options
 * @throws UsageError `bad-capacity`, `trace-too-large`
 */
export function simulate(
  trace: Trace,
  policy: PolicyDefinition,
  capacity: number,
  options: SimulationOptions = {},
): SimulationResult {
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    throw new UsageError('bad-capacity', `${capacity} is not a size for a cache; give a whole number from 1`)
  }
  const { unit = 'bytes', overheadBytes = 0, onEvent } = options
  const { revisions, objectOf, bytes, isStore } = trace
  const isResident = new Uint8Array(trace.revisionCount + 1)
  /** Resident revisions of each object. */
  const residents = new Int32Array(trace.objectCount + 1)
  const nodes = new Nodes(new Int32Array((trace.revisionCount + 1) * nodeWords))
  const state = new Float64Array(policyStateLength)
  // Twice the objects: a queue of ghosts is exact as long as half of its ring may be gaps.
  const ghostMemory = () => new Int32Array(ghostWords(2 * trace.objectCount + 2))
  let ghosts = Array.from({ length: policy.ghostLists }, () => new Ghosts(ghostMemory()))
  let cache = policy.create({ nodes, state, capacity, ghosts })
  const keyOf = (node: number): number => objectOf[node]!
  let weightInUse = 0
  let requests = 0
  let misses = 0
  let requestedBytes = 0
  let missedBytes = 0
  let evictions = 0

  for (let event = 0; event < revisions.length; event++) {
    const node = revisions[event]!
    if (node === 0) {
      isResident.fill(0)
      residents.fill(0)
      state.fill(0)
      ghosts = ghosts.map(() => new Ghosts(ghostMemory()))
      cache = policy.create({ nodes, state, capacity, ghosts })
      weightInUse = 0
      onEvent?.(0)
      continue
    }
    const size = bytes[event]!
    const store = isStore[event] === 1
    if (!store) {
      requests++
      requestedBytes += size
    }
    if (isResident[node] === 1) {
      if (!store) cache.hit(node)
      onEvent?.(weightInUse)
      continue
    }
    if (!store) {
      misses++
      missedBytes += size
    }
    const weight = unit === 'entries' ? 1 : size + overheadBytes
    if (weight > nodeWeightMax) {
      throw new UsageError('trace-too-large', `the trace has an object of ${size} bytes; 256 MB is the most`)
    }
    const key = objectOf[node]!
    if (weight <= capacity && cache.expect(key, weight, residents[key]! > 0)) {
      while (weightInUse + weight > capacity) {
        const victim = cache.evict(keyOf)
        isResident[victim] = 0
        residents[objectOf[victim]!]!--
        weightInUse -= nodes.weight(victim)
        evictions++
      }
      nodes.setWeight(node, weight)
      cache.insert(node, key)
      isResident[node] = 1
      residents[key]!++
      weightInUse += weight
    }
    onEvent?.(weightInUse)
  }
  return {
    policy: policy.name,
    capacity,
    requests,
    misses,
    requestedBytes,
    missedBytes,
    evictions,
    missRatio: requests === 0 ? 0 : misses / requests,
    byteMissRatio: requestedBytes === 0 ? 0 : missedBytes / requestedBytes,
  }
}
