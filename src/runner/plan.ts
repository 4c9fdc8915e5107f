/**
 * The plan: everything that will be measured, and everything that cannot be and why. Pure and plain data, made once
 * from the configuration and the declared capabilities, so that it can be printed, hashed and replayed.
 */

import { createHash } from 'node:crypto'
import { Random } from '../core/random.ts'
import type {
  Concurrency,
  ContenderRecord,
  DatasetRecord,
  ForkId,
  Setting,
  SkipLine,
  SuiteLine,
} from '../results/schema.ts'
import type { DatasetOptions, ScenarioModule } from '../scenarios/scenario.ts'
import type { Capabilities } from '../storages/storage.ts'

/** A contender as the plan needs it. */
export interface PlannedContender {
  readonly record: ContenderRecord
  readonly url: string
  readonly capabilities: Capabilities
  /** Why it cannot be measured at all: its driver or server is missing. */
  readonly unavailable?: string
}

export interface PlannedScenario {
  readonly url: string
  readonly module: ScenarioModule
}

/** What the user asked for, resolved. */
export interface PlanRequest {
  readonly contenders: readonly PlannedContender[]
  readonly scenarios: readonly PlannedScenario[]
  readonly objects: readonly number[]
  readonly concurrency: readonly Concurrency[]
  readonly dataset: DatasetOptions
  readonly seed: string
  /** Forks per cell: the n of every interval. With a budget, the most there may be. */
  readonly forks: number
  /** Measured batches per fork. */
  readonly batches: number
}

/** A setting and who competes in it. */
export interface PlannedSetting {
  readonly setting: Setting
  readonly scenarioUrl: string
  /** Labels, in the order of the request. Empty where every contender is skipped. */
  readonly contenders: readonly string[]
}

export interface Plan {
  readonly seed: string
  readonly forks: number
  readonly batches: number
  readonly dataset: DatasetRecord
  readonly settings: readonly PlannedSetting[]
  /**
   * Per block, the order in which the settings that have contenders are visited: indices into `settings`. One block
   * gives one fork of each cell.
   */
  readonly blocks: readonly (readonly number[])[]
  readonly skips: readonly SkipLine[]
  /** Of all above: equal hashes, equal work. */
  readonly hash: string
}

export function makePlan(request: PlanRequest): Plan {
  const { seed, forks, batches } = request
  const dataset: DatasetRecord = {
    ...request.dataset,
    hash: shortHash({ ...request.dataset, seed }),
  }
  const settings: PlannedSetting[] = []
  const skips: SkipLine[] = []
  for (const { url, module } of request.scenarios) {
    for (const concurrency of request.concurrency) {
      for (const objects of request.objects) {
        const parameters = {
          objectsPerTransaction: objects,
          workers: concurrency.workers,
          dataset: request.dataset,
        }
        const setting: Setting = {
          scenario: module.name,
          title: module.title(parameters),
          objects,
          concurrency,
        }
        const contenders: string[] = []
        for (const contender of request.contenders) {
          const reason = whyNot(contender, module, concurrency)
          if (reason === undefined) contenders.push(contender.record.label)
          else
            skips.push({
              type: 'skip',
              contender: contender.record.label,
              scenario: module.name,
              objects,
              concurrency,
              reason,
            })
        }
        settings.push({ setting, scenarioUrl: url, contenders })
      }
    }
  }
  return complete({ seed, forks, batches, dataset, settings, skips })
}

/**
 * The plan of a run that was interrupted, from what its file says.
 * @param scenarioUrlOf URL of a scenario's module
 */
export function planAgain(
  suite: SuiteLine,
  skips: readonly SkipLine[],
  scenarioUrlOf: (scenario: string) => string,
): Plan {
  const { seed, forks, batches, dataset } = suite
  const isSkipped = (label: string, setting: Setting) =>
    skips.some(
      (skip) =>
        skip.contender === label &&
        skip.scenario === setting.scenario &&
        skip.objects === setting.objects &&
        skip.concurrency.kind === setting.concurrency.kind &&
        skip.concurrency.workers === setting.concurrency.workers,
    )
  const settings = suite.settings.map((setting) => ({
    setting,
    scenarioUrl: scenarioUrlOf(setting.scenario),
    contenders: suite.contenders.map(({ label }) => label).filter((label) => !isSkipped(label, setting)),
  }))
  return complete({ seed, forks, batches, dataset, settings, skips })
}

function complete(parts: Omit<Plan, 'blocks' | 'hash'>): Plan {
  const { seed, forks, settings } = parts
  const random = new Random(seed).split('blocks')
  const indices = settings.flatMap(({ contenders }, index) => (contenders.length === 0 ? [] : [index]))
  const blocks = Array.from({ length: forks }, (_, block) => random.split(block).shuffled(indices))
  // Module files lie elsewhere on every machine: they are named in the suite line, and not part of the identity.
  const identity = {
    ...parts,
    settings: settings.map(({ setting, contenders }) => ({ setting, contenders })),
    blocks,
  }
  return { ...parts, blocks, hash: shortHash(identity) }
}

/** Why this contender cannot run this scenario in this way; undefined when it can. */
function whyNot(
  contender: PlannedContender,
  scenario: ScenarioModule,
  concurrency: Concurrency,
): string | undefined {
  if (contender.unavailable !== undefined) return contender.unavailable
  const { label } = contender.record
  const { capabilities } = contender
  const { workersMin = 1, capabilities: needed = [] } = scenario.requires
  if (concurrency.workers < workersMin) return `${scenario.name} needs at least ${workersMin} workers`
  const lacking = needed.filter((name) => !capabilities[name])
  if (lacking.length > 0) return `${label} has no ${lacking.join(' and no ')}, which ${scenario.name} needs`
  if (concurrency.kind === 'threads' && capabilities.reach === 'isolate') {
    return `${label} lives in one event loop; its data cannot be seen from another thread`
  }
  if (
    concurrency.kind === 'processes' &&
    (capabilities.reach === 'isolate' || capabilities.reach === 'process')
  ) {
    return `${label} can be opened by one process at a time`
  }
  return undefined
}

/** Names one fork of one contender in a setting. */
export function forkIdOf({ setting }: PlannedSetting, contender: string, fork: number): ForkId {
  const { scenario, objects, concurrency } = setting
  return { contender, scenario, objects, concurrency, fork }
}

/** 12 hexadecimal digits of SHA-256 over the JSON form. */
function shortHash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12)
}
