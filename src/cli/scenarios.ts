/** Which scenarios a list on the command line stands for. */

import type { PlannedScenario } from '../runner/plan.ts'
import {
  headlineScenarioNames,
  loadScenarioModule,
  scenarioNames,
  scenarioUrl,
} from '../scenarios/registry.ts'

/** `headline` and `all` stand for lists; every scenario enters once. */
export async function resolveScenarios(
  wanted: readonly string[],
  baseFolder: string,
): Promise<readonly PlannedScenario[]> {
  const groups: Readonly<Record<string, readonly string[]>> = {
    headline: headlineScenarioNames,
    all: scenarioNames,
  }
  const names = wanted.flatMap((name) => groups[name] ?? [name])
  const urls = new Set(names.map((name) => scenarioUrl(name, baseFolder)))
  return Promise.all([...urls].map(async (url) => ({ url, module: await loadScenarioModule(url) })))
}
