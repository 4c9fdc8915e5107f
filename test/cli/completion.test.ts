import { expect, test } from 'vitest'
import { byName, byPlaceholder } from '../../src/cli/completion/model.ts'
import { makeProgram } from '../../src/cli/program.ts'

test('every option and placeholder that completion knows values of exists', () => {
  const program = makeProgram()
  const all = [...program.commands, ...program.commands.flatMap((one) => one.commands)]
  const options = all.flatMap((one) => one.options)
  const names = new Set(options.map((one) => one.name()))
  const placeholders = new Set([
    ...options.flatMap((one) => /[<[]([\w-]+)/.exec(one.flags)?.[1] ?? []),
    ...all.flatMap((one) => one.registeredArguments.map((argument) => argument.name())),
  ])
  expect(Object.keys(byName).filter((name) => !names.has(name))).toEqual([])
  expect(Object.keys(byPlaceholder).filter((name) => !placeholders.has(name))).toEqual([])
})
