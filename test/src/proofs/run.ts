import { allModels, proverifVersion, verdictsOf } from './models.ts'

/** `node test/dist/proofs/run.js` runs every model and compares. PROVERIF names the program where it is not on the path. */
const command = process.env['PROVERIF'] ?? 'proverif'
const say = (line: string): boolean => process.stdout.write(`${line}\n`)

const version = proverifVersion(command)
if (version === undefined) {
  say(
    `ProVerif is not installed here ("${command}" does not run), so nothing was proved. docs/proofs/README.md says where it is from.`,
  )
} else {
  say(version)
  let wrong = 0
  for (const { file, title, expected } of allModels()) {
    const verdicts = verdictsOf(command, file)
    const isRight = verdicts.join() === expected.join()
    if (!isRight) wrong += 1
    say(
      `${isRight ? 'as expected' : `WRONG: expected ${expected.join(', ')}`}  ${file}: ${verdicts.join(', ')}\n  ${title}`,
    )
  }
  say(wrong === 0 ? 'All verdicts are as expected.' : `${wrong} models are not as expected.`)
  if (wrong > 0) process.exitCode = 1
}
