/**
 * Contenders as they are written on the command line and in the config file, and how they are brought to life.
 *
 *     [LABEL=]NAME|./module.js[?option=value&…]
 *
 * The same storage may enter twice, with other options and another label.
 */

import { closestName, UsageError } from '../core/errors.ts'
import { type OptionsSpec, parseOptions } from '../core/options.ts'
import type { ContenderRecord } from '../results/schema.ts'
import type { RunningContender } from '../runner/coordinator.ts'
import type { PlannedContender } from '../runner/plan.ts'
import type { Workspace } from '../runner/workspace.ts'
import { loadStorageModule, storageNames, storageUrl } from '../storages/registry.ts'
import type { Capabilities, Durability, ProvisionedStore, StorageModule } from '../storages/storage.ts'

/** A contender as the user gave it. */
export interface ContenderRequest {
  readonly label?: string
  /** Name of a bundled storage, or path of a module. */
  readonly storage: string
  readonly options?: Readonly<Record<string, unknown>>
}

/** A contender whose module is loaded and whose options are checked. */
export interface ResolvedContender {
  readonly label: string
  readonly storage: string
  /** How another run finds the module again: the name of a bundled storage, or the URL. */
  readonly source: string
  readonly url: string
  readonly module: StorageModule
  readonly options: Readonly<Record<string, unknown>>
  readonly capabilities: Capabilities
  /** The build it was loaded from, where that is not this one. */
  readonly build?: string
}

/** Where names and paths of storages lead, where it is not this installation. */
export interface StorageSource {
  /** For people and for the results: folder or package, version, commit. */
  readonly title: string
  /** @throws UsageError */
  storageUrl(nameOrPath: string): string | Promise<string>
}

/** @throws UsageError `bad-contender` */
export function parseContender(text: string): ContenderRequest {
  const [head = '', query] = splitOnce(text, '?')
  const labelled = /^([A-Za-z0-9][\w.+-]*)=(.*)$/.exec(head)
  const storage = labelled?.[2] ?? head
  if (storage === '') {
    throw new UsageError(
      'bad-contender',
      `"${text}" names no storage; write NAME, LABEL=NAME or ./module.js, with ?option=value`,
    )
  }
  const options = query === undefined ? undefined : Object.fromEntries(new URLSearchParams(query))
  return {
    storage,
    ...(labelled === null ? {} : { label: labelled[1]! }),
    ...(options === undefined ? {} : { options }),
  }
}

/**
 * One existing store: as a contender, and `file:./data.log` is short for `file?path=./data.log`.
 * @throws UsageError `bad-contender`
 */
export function parseStore(text: string): ContenderRequest {
  // `file:///…/module.js` is the URL of a module.
  const short = /^([a-z][a-z0-9-]*):(?!\/\/)([^?]+)(\?.*)?$/.exec(text)
  if (short === null) return parseContender(text)
  const request = parseContender(`${short[1]}${short[3] ?? ''}`)
  return { ...request, options: { ...request.options, path: short[2]! } }
}

/**
 * A store that nobody named would be gone afterwards, or somebody else's: where there is a path, it must be said.
 * @throws UsageError `missing-option`
 */
export function assertPlace(module: StorageModule, options: Readonly<Record<string, unknown>>): void {
  if (!('path' in module.options) || (options['path'] ?? '') !== '') return
  throw new UsageError('missing-option', `${module.name}: say which store: ${module.name}:./path`)
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/**
 * @throws UsageError `unknown-storage`, `module-not-found`, `bad-options`; ShootoutError `module-broken`,
 *   `other-contract`
 */
export async function resolveContender(
  request: ContenderRequest,
  baseFolder?: string,
  from?: StorageSource,
): Promise<ResolvedContender> {
  const url = (await from?.storageUrl(request.storage)) ?? storageUrl(request.storage, baseFolder)
  const module = await loadStorageModule(url)
  const options = parseOptions(`storage ${module.name}`, module.options, request.options ?? {})
  return {
    label: request.label ?? module.name,
    storage: module.name,
    source: from === undefined && storageNames.includes(request.storage) ? request.storage : url,
    url,
    module,
    options,
    capabilities: module.capabilities(options),
    ...(from === undefined ? {} : { build: from.title }),
  }
}

/** @throws UsageError `duplicate-label` */
export async function resolveContenders(
  requests: readonly ContenderRequest[],
  baseFolder?: string,
): Promise<readonly ResolvedContender[]> {
  const contenders = await Promise.all(requests.map((request) => resolveContender(request, baseFolder)))
  const labels = new Set<string>()
  for (const { label } of contenders) {
    if (labels.has(label)) {
      throw new UsageError(
        'duplicate-label',
        `two contenders are called "${label}"; name them apart: a=${label},b=${label}?option=value`,
      )
    }
    labels.add(label)
  }
  return contenders
}

/** The label of the contender that ratios refer to. @throws UsageError `unknown-reference` */
export function chooseReference(
  contenders: readonly ResolvedContender[],
  wanted: string | undefined,
): string {
  if (wanted === undefined) {
    // What dies with the process makes a poor yardstick for what survives it.
    return (contenders.find(({ capabilities }) => capabilities.persistent) ?? contenders[0]!).label
  }
  const labels = contenders.map(({ label }) => label)
  if (labels.includes(wanted)) return wanted
  const closest = closestName(wanted, labels)
  throw new UsageError(
    'unknown-reference',
    `no contender is called "${wanted}"; ${closest === undefined ? `there are ${labels.join(', ')}` : `did you mean "${closest}"?`}`,
  )
}

/** All contenders after provisioning. */
export interface Provisioned {
  readonly planned: readonly PlannedContender[]
  readonly running: ReadonlyMap<string, RunningContender>
  dispose(): Promise<void>
}

/** Provisions every contender; one that cannot be used is kept with the reason. */
export async function provisionAll(
  contenders: readonly ResolvedContender[],
  workspace: Workspace,
  log: (message: string) => void,
): Promise<Provisioned> {
  const planned: PlannedContender[] = []
  const running = new Map<string, RunningContender>()
  const disposers: (() => void | Promise<void>)[] = []
  const dispose = async () => {
    for (const one of disposers.splice(0).reverse()) await one()
  }
  try {
    for (const [index, contender] of contenders.entries()) {
      const { label, url, module, options } = contender
      const folder = await workspace.subfolder(`c${index}`)
      const provision = await module.provision?.(options, {
        folder,
        log: (message) => log(`${label}: ${message}`),
      })
      if (provision?.available === false) {
        planned.push({
          ...describe(contender, contender.capabilities.durability, {}),
          unavailable: provision.reason,
        })
        continue
      }
      if (provision !== undefined) disposers.push(() => provision.dispose())
      const durability = provision?.durability ?? contender.capabilities.durability
      planned.push(describe(contender, durability, provision?.facts ?? {}))
      running.set(label, {
        label,
        url,
        capabilities: { ...contender.capabilities, durability },
        async newStore(name): Promise<ProvisionedStore<OptionsSpec>> {
          return provision === undefined ? { options, dispose: () => {} } : provision.newStore(name)
        },
      })
    }
  } catch (error) {
    await dispose()
    throw error
  }
  return { planned, running, dispose }
}

function describe(
  contender: ResolvedContender,
  durability: Durability,
  facts: Readonly<Record<string, string>>,
): PlannedContender {
  const { label, storage, source, url, options, capabilities } = contender
  const given = Object.entries(options).filter(
    ([name, value]) => value !== contender.module.options[name]?.default,
  )
  const record: ContenderRecord = {
    label,
    storage,
    module: source,
    options: Object.fromEntries(given),
    durability,
    capabilities: { ...capabilities, durability },
    facts: contender.build === undefined ? facts : { ...facts, build: contender.build },
  }
  return { record, url, capabilities }
}
