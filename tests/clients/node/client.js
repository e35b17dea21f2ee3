// The contract of tests/clients/README.md on kafkajs.
'use strict'

const { createHash, randomUUID } = require('crypto')
const fs = require('fs')
const { Kafka, logLevel } = require('kafkajs')

const KEYS = 97
const verb = process.argv[2]
const options = {}
for (let i = 3; i + 1 < process.argv.length; i += 2) options[process.argv[i].slice(2)] = process.argv[i + 1]
const count = Number(options.count)

function kafka() {
  const conf = {}
  if (options.config) {
    for (const line of fs.readFileSync(options.config, 'utf8').split('\n')) {
      const at = line.indexOf('=')
      if (at > 0 && !line.startsWith('#')) conf[line.slice(0, at).trim()] = line.slice(at + 1).trim()
    }
  }
  const protocol = conf['security.protocol'] || 'PLAINTEXT'
  const settings = {
    clientId: 'esker-node',
    brokers: options.bootstrap.split(','),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 100, retries: 12, maxRetryTime: 3000 },
  }
  if (protocol.endsWith('SSL')) {
    const read = (key) => conf[key] && fs.readFileSync(conf[key], 'utf8')
    settings.ssl = {
      rejectUnauthorized: true, ca: [read('ssl.ca')], cert: read('ssl.certificate'), key: read('ssl.key'),
    }
  }
  if (conf['sasl.mechanism'] === 'OAUTHBEARER') {
    settings.sasl = {
      mechanism: 'oauthbearer',
      oauthBearerProvider: async () => ({ value: fs.readFileSync(conf['oauth.token.file'], 'utf8').trim() }),
    }
  } else if (protocol.startsWith('SASL')) {
    settings.sasl = {
      mechanism: conf['sasl.mechanism'].toLowerCase(),
      username: conf['sasl.username'],
      password: conf['sasl.password'],
    }
  }
  return new Kafka(settings)
}

function record(i) {
  const seed = options.seed
  const hex = createHash('sha256').update(`${seed}:${i}`).digest('hex')
  return {
    key: `${seed}-k${i % KEYS}`,
    value: `${seed}:${i}:${Math.floor(i / KEYS)}:` + hex.repeat(i % 9),
    headers: { n: String(i), twice: ['a', 'b'] },
  }
}

function digest(message) {
  const sha = createHash('sha256').update(message.key).update('\0').update(message.value)
  for (const [name, values] of Object.entries(message.headers || {})) {
    for (const value of [].concat(values)) sha.update('\0').update(name).update('=').update(value)
  }
  return sha.digest().readBigUInt64BE(0)
}

const hex64 = (n) => BigInt.asUintN(64, n).toString(16).padStart(16, '0')

async function produce() {
  const producer = kafka().producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  let acked = 0
  let hash = 0n
  for (let from = 0; from < count; from += 500) {
    const messages = []
    for (let i = from; i < Math.min(count, from + 500); i++) messages.push(record(i))
    await producer.send({ topic: options.topic, acks: -1, messages })
    acked += messages.length
    for (const message of messages) hash += digest(message)
  }
  await producer.disconnect()
  console.log(JSON.stringify({ acked, hash: hex64(hash) }))
  return acked === count
}

async function consume() {
  const consumer = kafka().consumer({
    groupId: options.group || `none-${randomUUID()}`,
    sessionTimeout: 10000,
    rebalanceTimeout: 10000,
    heartbeatInterval: 1000,
    maxWaitTimeInMs: 500,
  })
  const out = fs.openSync(options.out, 'a')
  let read = 0
  let hash = 0n
  let finish
  const finished = new Promise((resolve) => { finish = resolve })
  process.on('SIGTERM', () => finish(true))
  setTimeout(() => finish(false), Number(options.timeout || 120) * 1000)
  consumer.on(consumer.events.CRASH, (event) => {
    console.error(String(event.payload.error && event.payload.error.stack))
    if (!event.payload.restart) finish(false)
  })
  await consumer.connect()
  await consumer.subscribe({ topic: options.topic, fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 200,
    eachBatchAutoResolve: true,
    eachBatch: async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary }) => {
      let lines = ''
      for (const message of batch.messages) {
        const value = digest(message)
        const counter = message.value.toString().split(':', 3)[2]
        lines += `${batch.partition}\t${message.offset}\t${message.key}\t${counter}\t${hex64(value)}\n`
        read++
        hash += value
        resolveOffset(message.offset)
      }
      fs.writeSync(out, lines)
      await commitOffsetsIfNecessary()
      await heartbeat()
      if (read >= count) finish(true)
    },
  })
  const done = await finished
  await consumer.disconnect()
  console.log(JSON.stringify({ count: read, hash: hex64(hash) }))
  return done
}

(verb === 'produce' ? produce() : consume()).then(
  (done) => process.exit(done ? 0 : 1),
  (error) => { console.error(error.stack || String(error)); process.exit(1) })
