// Measures how contexts are made, cancelled, and asked for values.
package main

import "context"

const depth = 10

type key int

func cancelFrom(parent context.Context, ops int64) uint64 {
	var canceled uint64
	for i := int64(0); i < ops; i++ {
		ctx, cancel := context.WithCancel(parent)
		cancel()
		if ctx.Err() != nil {
			canceled++
		}
	}
	return canceled
}

func contextCancel(ops int64) uint64 { return cancelFrom(context.Background(), ops) }

func contextChild(ops int64) uint64 {
	parent, cancel := context.WithCancel(context.Background())
	canceled := cancelFrom(parent, ops)
	cancel()
	return canceled
}

// The value lies in the ancestor that is farthest from the context that is asked.
func contextValue(ops int64) uint64 {
	ctx := context.Background()
	for i := 0; i < depth; i++ {
		ctx = context.WithValue(ctx, key(i), int64(i+1))
	}
	var sum uint64
	for i := int64(0); i < ops; i++ {
		sum += uint64(ctx.Value(key(0)).(int64))
	}
	return sum
}
