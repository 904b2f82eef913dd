import { z } from 'zod'
import { Config } from './schema.ts'

/** For editors that follow a `#:schema` line: what `config check` checks. Draft 4 is the newest that taplo reads. */
export const jsonSchemaText = (): string =>
  `${JSON.stringify(
    {
      title: 'relay.toml of a Sealmesh relay',
      ...z.toJSONSchema(Config, { target: 'draft-7', io: 'input' }),
      $schema: 'http://json-schema.org/draft-04/schema#',
    },
    null,
    2,
  )}\n`
