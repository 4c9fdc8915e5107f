/** Which part of a results file to look at. Every dimension can be narrowed; what is not named stays. */

import { closestName, UsageError } from '../core/errors.ts'
import type { ConcurrencyKind, ContenderRecord, Setting, SuiteLine } from '../results/schema.ts'

/** What to look at: each dimension that is named is narrowed to these. */
export interface Filters {
  /** Labels. */
  readonly contenders?: readonly string[]
  readonly scenarios?: readonly string[]
  readonly objects?: readonly number[]
  readonly kinds?: readonly ConcurrencyKind[]
  readonly workers?: readonly number[]
  /** Another contender for the ratios to refer to. */
  readonly reference?: string
}

export interface Selection {
  readonly contenders: readonly ContenderRecord[]
  readonly settings: readonly Setting[]
  readonly reference: string
}

/**
 * @throws UsageError `not-in-results` for a value that the file does not have, `nothing-selected` when no setting has
 * all that was asked
 */
export function select(suite: SuiteLine, filters: Filters): Selection {
  const { settings } = suite
  const labels = suite.contenders.map(({ label }) => label)
  const contenderWanted = wanted('contender', filters.contenders, labels)
  const scenarioWanted = wanted(
    'scenario',
    filters.scenarios,
    values(settings, ({ scenario }) => scenario),
  )
  const objectsWanted = wanted(
    'object count',
    filters.objects,
    values(settings, ({ objects }) => objects),
  )
  const kinds = values(settings, ({ concurrency }) => concurrency.kind)
  const kindWanted = wanted('concurrency kind', filters.kinds, kinds)
  const workers = values(settings, ({ concurrency }) => concurrency.workers)
  const workersWanted = wanted('number of workers', filters.workers, workers)
  if (filters.reference !== undefined) wanted('contender', [filters.reference], labels)

  const contenders = suite.contenders.filter(({ label }) => contenderWanted(label))
  const selected = settings.filter(
    ({ scenario, objects, concurrency }) =>
      scenarioWanted(scenario) &&
      objectsWanted(objects) &&
      kindWanted(concurrency.kind) &&
      workersWanted(concurrency.workers),
  )
  if (contenders.length === 0 || selected.length === 0) {
    throw new UsageError(
      'nothing-selected',
      'no cell of the results has all that was asked; leave out a filter',
    )
  }
  const isSelected = (label: string) => contenders.some((contender) => contender.label === label)
  const reference = filters.reference ?? suite.reference
  if (filters.reference !== undefined && !isSelected(reference)) {
    throw new UsageError(
      'nothing-selected',
      `reference "${reference}" is not among the contenders asked for; ask for it too, or name another`,
    )
  }
  return {
    contenders,
    settings: selected,
    reference: isSelected(reference) ? reference : contenders[0]!.label,
  }
}

function wanted<T extends string | number>(
  what: string,
  asked: readonly T[] | undefined,
  present: readonly T[],
): (value: T) => boolean {
  if (asked === undefined || asked.length === 0) return () => true
  for (const value of asked) {
    if (present.includes(value)) continue
    const closest = closestName(String(value), present.map(String))
    const advice = closest === undefined ? `they have ${present.join(', ')}` : `did you mean "${closest}"?`
    throw new UsageError('not-in-results', `the results have no ${what} "${value}" (${advice})`)
  }
  return (value) => asked.includes(value)
}

function values<T>(settings: readonly Setting[], pick: (setting: Setting) => T): T[] {
  return [...new Set(settings.map(pick))]
}
