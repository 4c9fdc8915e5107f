import { expect, test } from 'vitest'
import {
  headlineScenarioNames,
  loadScenarioModule,
  scenarioAliases,
  scenarioNames,
  scenarioUrl,
} from '../../src/scenarios/registry.ts'

test.each(scenarioNames)(
  '%s is a scenario of that name, with a title for one object and for many',
  async (name) => {
    const module = await loadScenarioModule(scenarioUrl(name))
    expect(module.name).toBe(name)
    const parameters = { workers: 2, dataset: { recordBytes: 300, compressibility: 0 } }
    const titles = [1, 20].map((objectsPerTransaction) =>
      module.title({ ...parameters, objectsPerTransaction }),
    )
    for (const title of titles) expect(title).toMatch(/^[a-z]/)
    expect(module.description).toMatch(/Timed: .*Not timed: .*Proven by /s)
  },
)

test('every alias and every headline name means a bundled scenario', () => {
  for (const name of [...Object.values(scenarioAliases), ...headlineScenarioNames]) {
    expect(scenarioNames).toContain(name)
  }
  expect(scenarioUrl('hot')).toBe(scenarioUrl('cached-read'))
})

test('an unknown name is refused with the closest one', () => {
  expect(() => scenarioUrl('updaet')).toThrow(/Did you mean "update"/)
  expect(() => scenarioUrl('constructor')).toThrow(/there is no scenario "constructor"/)
  expect(() => scenarioUrl('./nowhere.js')).toThrow(expect.objectContaining({ code: 'module-not-found' }))
})

test('a module that is no scenario is refused by what it lacks', async () => {
  await expect(loadScenarioModule('data:text/javascript,export default {name: "x"}')).rejects.toThrow(
    /not a scenario: `summary` is missing/,
  )
})
