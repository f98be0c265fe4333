package io.llamafu.flink.completion;

import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.Completion;
import io.llamafu.engine.ResolvedAdapter;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;

import java.util.HashMap;
import java.util.Map;

/**
 * Requests, completions and tokens of each adapter, in the groups {@code adapter.<name>}. A metric cannot be taken back
 * before the task ends and each costs memory in every reporter, so only the first names that are asked for have their own;
 * the others share one.
 */
final class AdapterMetrics {
    static final int MOST_ADAPTERS = 100;
    /** No name of an adapter begins with an underscore. */
    static final String OTHERS = "_others";

    private final MetricGroup group;
    private final Map<String, Counts> byName = new HashMap<>();

    private record Counts(Counter requests, Counter completions, Counter promptTokens, Counter generatedTokens) {}

    AdapterMetrics(MetricGroup group) {
        this.group = group;
    }

    void request(AdapterStack adapters) {
        for (AdapterStack.Entry adapter : adapters.entries()) {
            counts(adapter.name()).requests().inc();
        }
    }

    void completion(Completion completion) {
        for (ResolvedAdapter adapter : completion.adapters()) {
            Counts counts = counts(adapter.name());
            counts.completions().inc();
            counts.promptTokens().inc(completion.promptTokens());
            counts.generatedTokens().inc(completion.generatedTokens());
        }
    }

    private synchronized Counts counts(String adapter) {
        Counts known = byName.get(adapter);
        if (known != null) {
            return known;
        }
        return byName.computeIfAbsent(byName.size() < MOST_ADAPTERS ? adapter : OTHERS, this::register);
    }

    private Counts register(String name) {
        MetricGroup ofAdapter = group.addGroup("adapter", name);
        return new Counts(
                counter(ofAdapter, "requests"),
                counter(ofAdapter, "completions"),
                counter(ofAdapter, "promptTokens"),
                counter(ofAdapter, "generatedTokens"));
    }

    private static Counter counter(MetricGroup group, String name) {
        return group.counter(name, new ConcurrentCounter());
    }
}
