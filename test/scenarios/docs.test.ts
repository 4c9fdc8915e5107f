import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import {
  loadScenarioModule,
  scenarioAliases,
  scenarioNames,
  scenarioUrl,
} from '../../src/scenarios/registry.ts'

const page = await readFile(new URL('../../docs/scenarios.md', import.meta.url), 'utf8')
const flat = page.replaceAll(/\s+/g, ' ')

test.each(scenarioNames)('docs/scenarios.md describes %s as the scenario itself does', async (name) => {
  const { description } = await loadScenarioModule(scenarioUrl(name))
  expect(page).toContain(`\n### ${name}\n`)
  expect(flat).toContain(description.replaceAll(/\s+/g, ' '))
})

test('docs/scenarios.md names every alias', () => {
  for (const alias of Object.keys(scenarioAliases)) expect(page).toContain(`\`${alias}\``)
})
