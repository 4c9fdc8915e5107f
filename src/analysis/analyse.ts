/**
 * Everything a report shows, from everything a file holds. A pure function: the same file and the same filters give
 * the same analysis on every machine.
 */

import type { Results } from '../results/reader.ts'
import { type Filters, select } from './filters.ts'
import { groupCells } from './group.ts'
import type { Analysis } from './model.ts'
import { summarise } from './summary.ts'
import { findWarnings } from './warnings.ts'

/** @throws UsageError `not-in-results`, `nothing-selected` */
export function analyse(results: Results, filters: Filters = {}): Analysis {
  const selection = select(results.suite, filters)
  const groups = groupCells(results, selection)
  const summary = summarise(groups, selection.contenders)
  return {
    format: 1,
    path: results.path,
    suite: results.suite,
    ...(results.end === undefined ? {} : { end: results.end }),
    contenders: selection.contenders,
    reference: selection.reference,
    groups,
    summary,
    warnings: findWarnings(results, groups, summary.tiers),
  }
}
