import { expect, test } from 'vitest'
import { storageUrl } from '../../src/storages/registry.ts'

test.each([
  ['sqlit', 'sqlite'],
  ['mariadb', 'mysql'],
  ['PG', 'postgres'],
])('who asks for %s is told of %s', (wanted, meant) => {
  expect(() => storageUrl(wanted)).toThrow(
    `there is no storage "${wanted}". Did you mean "${meant}"? Known are`,
  )
})

test('what every object has is no storage', () => {
  expect(() => storageUrl('constructor')).toThrow('there is no storage "constructor". Known are')
})
