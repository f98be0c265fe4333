package io.llamafu.flink.completion;

import org.apache.flink.metrics.Counter;

import java.util.concurrent.atomic.LongAdder;

/** A thread-safe counter, unlike Flink's own; the task's thread and the engine's both count. */
final class ConcurrentCounter implements Counter {
    private final LongAdder count = new LongAdder();

    @Override
    public void inc() {
        count.increment();
    }

    @Override
    public void inc(long n) {
        count.add(n);
    }

    @Override
    public void dec() {
        count.decrement();
    }

    @Override
    public void dec(long n) {
        count.add(-n);
    }

    @Override
    public long getCount() {
        return count.sum();
    }
}
