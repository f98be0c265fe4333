package io.llamafu.flink.completion;

import io.llamafu.ErrorCode;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.engine.AppliedAdapter;
import io.llamafu.engine.CompletionResult;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;

import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Requests, completions and tokens per adapter, in the groups {@code adapter.<name>}. A metric cannot be removed before
 * the task ends, and each costs memory in every reporter. So only the first adapters have their own metrics, and names
 * without an adapter get none; the others share one group.
 */
final class AdapterMetrics {
    static final int MOST_ADAPTERS = 100;
    /** Adapter names never begin with an underscore. */
    static final String OTHERS = "_others";

    /** So that an adapter that never loads is visible too. */
    private static final Set<ErrorCode> OF_ADAPTERS_THAT_EXIST =
            EnumSet.of(ErrorCode.ADAPTER_INVALID, ErrorCode.ADAPTER_INCOMPATIBLE, ErrorCode.ADAPTER_LOAD_FAILED);

    private final MetricGroup group;
    private final Counts others;
    private final Map<String, Counts> byName = new HashMap<>();

    private record Counts(Counter requests, Counter completions, Counter promptTokens, Counter generatedTokens) {}

    AdapterMetrics(MetricGroup group) {
        this.group = group;
        this.others = register(OTHERS);
    }

    /** @param failure empty if the request was answered */
    void request(AdapterStack adapters, Optional<ErrorCode> failure) {
        boolean exist = failure.isEmpty() || OF_ADAPTERS_THAT_EXIST.contains(failure.get());
        for (AdapterStack.Entry adapter : adapters.entries()) {
            counts(adapter.name(), exist).requests().inc();
        }
    }

    void completion(CompletionResult completion) {
        for (AppliedAdapter adapter : completion.adapters()) {
            Counts counts = counts(adapter.name(), true);
            counts.completions().inc();
            counts.promptTokens().inc(completion.promptTokens());
            if (!completion.isRemembered()) {
                counts.generatedTokens().inc(completion.generatedTokens());
            }
        }
    }

    private synchronized Counts counts(String adapter, boolean exists) {
        Counts known = byName.get(adapter);
        if (known != null) {
            return known;
        }
        return exists && byName.size() < MOST_ADAPTERS ? byName.computeIfAbsent(adapter, this::register) : others;
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
