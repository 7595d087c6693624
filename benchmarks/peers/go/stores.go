package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/jackc/pgx/v4/pgxpool"
)

// One shard for all that this process makes, so that all rows of an INSERT have the same one.
var shard = randomBytes(1)[0]

func randomBytes(count int) []byte {
	bytes := make([]byte, count)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return bytes
}

// A UUIDv7 (RFC 9562, section 5.7) whose tenth byte is the shard.
func newID() (id [16]byte) {
	copy(id[:], randomBytes(16))
	ms := time.Now().UnixMilli()
	for i := 0; i < 6; i++ {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6] = 0x70 | id[6]&0x0F
	id[8] = 0x80 | id[8]&0x3F
	id[9] = shard
	return
}

// go: one prepared INSERT a request, into the service's own table.
func single(pool *pgxpool.Pool) store {
	return func(ctx context.Context, s session) (created, expires time.Time, err error) {
		err = pool.QueryRow(ctx, `INSERT INTO link_sessions(id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
			VALUES ($1,$2,$3,$4,$5,$6,$7, now(), now() + interval '10 minutes') RETURNING created_at, expires_at`,
			s.id, int16(shard), s.tokenHash, s.manufacturer, s.user, s.url, s.language).Scan(&created, &expires)
		return
	}
}

// go-random: what everybody does. The digest of a random token is the primary key of a table that is not partitioned.
func random(pool *pgxpool.Pool) store {
	return func(ctx context.Context, s session) (created, expires time.Time, err error) {
		err = pool.QueryRow(ctx, `INSERT INTO bench.random_sessions(token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
			VALUES ($1,$2,$3,$4,$5, now(), now() + interval '10 minutes') RETURNING created_at, expires_at`,
			s.tokenHash, s.manufacturer, s.user, s.url, s.language).Scan(&created, &expires)
		return
	}
}

type result struct {
	created, expires time.Time
	err              error
}
type job struct {
	session
	done chan result
}

// go-batch, the hardest peer: concurrent creates grouped into one INSERT ... SELECT unnest() with one shard, into the
// service's own table.
func batched(pool *pgxpool.Pool) store {
	jobs := make(chan job, 4096)
	go writeBatches(pool, jobs)
	return func(_ context.Context, s session) (time.Time, time.Time, error) {
		j := job{s, make(chan result, 1)}
		jobs <- j
		r := <-j.done
		return r.created, r.expires, r.err
	}
}

const insertBatch = `INSERT INTO link_sessions(id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
	SELECT i, $2::smallint, t, m, u, r, l, now(), now() + interval '10 minutes'
	FROM unnest($1::uuid[],$3::bytea[],$4::bigint[],$5::text[],$6::text[],$7::text[]) AS x(i,t,m,u,r,l)
	RETURNING created_at, expires_at`

func writeBatches(pool *pgxpool.Pool, jobs chan job) {
	for first := range jobs {
		batch := []job{first}
	fill:
		for len(batch) < 256 {
			select {
			case j := <-jobs:
				batch = append(batch, j)
			default:
				break fill
			}
		}
		var is [][16]byte
		var hs [][]byte
		var ms []int64
		var us, rs, ls []string
		for _, j := range batch {
			is, hs, ms = append(is, j.id), append(hs, j.tokenHash), append(ms, j.manufacturer)
			us, rs, ls = append(us, j.user), append(rs, j.url), append(ls, j.language)
		}
		rows, err := pool.Query(context.Background(), insertBatch, is, int16(shard), hs, ms, us, rs, ls)
		i := 0
		if err == nil {
			for rows.Next() {
				var r result
				r.err = rows.Scan(&r.created, &r.expires)
				batch[i].done <- r
				i++
			}
			err = rows.Err()
		}
		for ; i < len(batch); i++ {
			batch[i].done <- result{err: err}
		}
	}
}
