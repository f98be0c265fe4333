package io.llamafu.flink.completion;

import io.llamafu.engine.Completion;
import io.llamafu.engine.ResolvedAdapter;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;

import java.util.HashMap;
import java.util.Map;

/**
 * Completions and tokens of each adapter, in the groups {@code adapter.<name>}. A metric cannot be taken back before the
 * task ends and each costs memory in every reporter, so only the first adapters that answer have their own; the others
 * share one. A name that does not exist never answers and takes none.
 */
final class AdapterMetrics {
    static final int MOST_ADAPTERS = 100;
    /** No name of an adapter begins with an underscore. */
    static final String OTHERS = "_others";

    private final MetricGroup group;
    private final Map<String, Tokens> byName = new HashMap<>();

    private record Tokens(Counter completions, Counter promptTokens, Counter generatedTokens) {}

    AdapterMetrics(MetricGroup group) {
        this.group = group;
    }

    void completion(Completion completion) {
        for (ResolvedAdapter adapter : completion.adapters()) {
            Tokens tokens = tokens(adapter.name());
            tokens.completions().inc();
            tokens.promptTokens().inc(completion.promptTokens());
            tokens.generatedTokens().inc(completion.generatedTokens());
        }
    }

    private synchronized Tokens tokens(String adapter) {
        Tokens known = byName.get(adapter);
        if (known != null) {
            return known;
        }
        return byName.computeIfAbsent(byName.size() < MOST_ADAPTERS ? adapter : OTHERS, this::register);
    }

    private Tokens register(String name) {
        MetricGroup ofAdapter = group.addGroup("adapter", name);
        return new Tokens(
                ofAdapter.counter("completions", new ConcurrentCounter()),
                ofAdapter.counter("promptTokens", new ConcurrentCounter()),
                ofAdapter.counter("generatedTokens", new ConcurrentCounter()));
    }
}
