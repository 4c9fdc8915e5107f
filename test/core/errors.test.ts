import { expect, test } from 'vitest'
import {
  ConflictError,
  closestName,
  describeError,
  fromPlainError,
  isTransient,
  ObjectNotFoundError,
  ShootoutError,
  toPlainError,
} from '../../src/core/errors.ts'
import { asOid, asTid } from '../../src/core/ids.ts'

test('an error crosses a message with code, transience, details and cause', () => {
  const original = new ConflictError(asOid(7), asTid(30), asTid(20), { cause: new Error('row 7') })
  const arrived = fromPlainError(structuredClone(toPlainError(original)))
  expect(arrived).toMatchObject({
    name: 'ConflictError',
    code: 'conflict',
    transient: true,
    message: original.message,
    details: { oid: 7, current: 30, base: 20 },
    stack: original.stack,
  })
  expect((arrived.cause as Error).message).toBe('row 7')
})

test('errors of others keep the code of the system, or are called unexpected', () => {
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  expect(toPlainError(full).code).toBe('ENOSPC')
  expect(toPlainError(new TypeError('x is undefined'))).toMatchObject({
    name: 'TypeError',
    code: 'unexpected',
  })
  expect(toPlainError('thrown text')).toMatchObject({ code: 'unexpected', message: 'thrown text' })
})

test('only what says so is transient', () => {
  expect(isTransient(new ConflictError(asOid(1), asTid(2), asTid(1)))).toBe(true)
  expect(isTransient(new ShootoutError('x', 'y'))).toBe(false)
  expect(isTransient(Object.assign(new Error(), { transient: true }))).toBe(false)
})

test('an error is described with its code', () => {
  expect(describeError(new ShootoutError('bad-disk', 'the disk is bad'))).toBe('the disk is bad (bad-disk)')
  expect(describeError(new TypeError('x'))).toBe('TypeError: x')
})

test('a near miss finds the name that was meant', () => {
  const names = ['memory', 'file', 'sqlite', 'postgres']
  expect(closestName('sqlit', names)).toBe('sqlite')
  expect(closestName('postgers', names)).toBe('postgres')
  expect(closestName('fiel', names)).toBe(undefined)
  expect(closestName('fille', names)).toBe('file')
  expect(closestName('oracle', names)).toBe(undefined)
})

test('an error of another copy of the package is known by the name of its class', async () => {
  const copy = (await import(
    '../../src/core/errors.ts?copy' as string
  )) as typeof import('../../src/core/errors.ts')
  expect(copy.ConflictError).not.toBe(ConflictError)
  const foreign = new copy.ConflictError(asOid(1), asTid(3), asTid(2))
  expect(foreign instanceof ConflictError).toBe(true)
  expect(foreign instanceof ShootoutError).toBe(true)
  expect(foreign instanceof ObjectNotFoundError).toBe(false)
  expect(toPlainError(foreign)).toMatchObject({ code: 'conflict', transient: true, details: { oid: 1 } })
  expect(new Error('x') instanceof ShootoutError).toBe(false)
  class ConflictErrorOfOthers extends Error {}
  expect(Object.assign(new ConflictErrorOfOthers(), { transient: true }) instanceof ShootoutError).toBe(false)
})
