package io.llamafu.flink.completion;

import org.apache.flink.metrics.Counter;

import java.util.concurrent.atomic.LongAdder;

/** Flink's own counters are for one thread; these are counted by the task's and the engine's. */
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
