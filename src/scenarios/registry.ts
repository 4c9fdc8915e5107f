/**
 * The scenarios that come with the product: name → module URL. Nothing is imported before it is asked for. The names
 * that zodbshootout gave to the same work are understood as well.
 */

import { closestName, UsageError } from '../core/errors.ts'
import { loadDefault, looksLikePath, moduleUrl, siblingModule } from '../core/load-module.ts'
import { type ScenarioModule, scenarioModuleProblem } from './scenario.ts'

/** Names of the bundled scenarios, in the order in which they run and reports show them. */
export const scenarioNames: readonly string[] = [
  'add',
  'add-btree',
  'update',
  'conflict',
  'conflict-resolve',
  'cold-read',
  'prefetch-read',
  'bulk-read',
  'warm-read',
  'cached-read',
  'live-read',
  'mixed',
  'read-current',
  'read-current-conflict',
  'store',
  'tpc',
  'empty-commit',
  'new-oid',
  'connect',
]

/** What a bare run measures. */
export const headlineScenarioNames: readonly string[] = [
  'add',
  'update',
  'conflict',
  'cold-read',
  'cached-read',
]

/** zodbshootout's name → ours, where they differ. */
export const scenarioAliases: Readonly<Record<string, string>> = {
  cold: 'cold-read',
  prefetch_cold: 'prefetch-read',
  warm: 'warm-read',
  hot: 'cached-read',
  steamin: 'live-read',
  conflicts: 'conflict',
  readCurrent: 'read-current',
  readCurrent_conflicts: 'read-current-conflict',
  ex_commit: 'empty-commit',
  new_oid: 'new-oid',
}

/** Our name of a bundled scenario that may have been given by its alias; undefined when there is none. */
export function canonicalScenarioName(name: string): string | undefined {
  if (scenarioNames.includes(name)) return name
  return Object.hasOwn(scenarioAliases, name) ? scenarioAliases[name] : undefined
}

/**
 * URL of a scenario given by name, alias, path or URL.
 * @throws UsageError `unknown-scenario`, `module-not-found`
 */
export function scenarioUrl(nameOrPath: string, baseFolder?: string): string {
  const name = canonicalScenarioName(nameOrPath)
  if (name !== undefined) return siblingModule(import.meta.url, `./${name}`)
  if (looksLikePath(nameOrPath)) return moduleUrl(nameOrPath, baseFolder)
  const closest = closestName(nameOrPath, [...scenarioNames, ...Object.keys(scenarioAliases)])
  throw new UsageError(
    'unknown-scenario',
    `there is no scenario "${nameOrPath}". ${closest === undefined ? '' : `Did you mean "${closest}"? `}` +
      `Known are ${scenarioNames.join(', ')}; a scenario of your own is named by its path, ./my-scenario.js`,
    { details: { scenario: nameOrPath } },
  )
}

/** @throws ShootoutError `module-broken` */
export function loadScenarioModule(url: string): Promise<ScenarioModule> {
  return loadDefault<ScenarioModule>(url, 'scenario', scenarioModuleProblem)
}
