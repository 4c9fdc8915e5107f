/** The whole analysis, values of single forks included, for other programs. docs/results-format.md describes it. */

import type { Analysis } from '../analysis/model.ts'

export function renderJson(analysis: Analysis): string {
  return `${JSON.stringify(analysis, undefined, 2)}\n`
}
