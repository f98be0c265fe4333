package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.OnError;
import io.llamafu.flink.RejectedRoute;
import io.llamafu.flink.RouteRule;
import io.llamafu.flink.RouteVariant;
import io.llamafu.flink.records.RecordTypeInfo;
import org.apache.flink.annotation.Internal;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.util.OutputTag;
import org.apache.flink.util.function.SerializableSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Validates route changes and rules and, if configured, whether their adapters exist. A rejected change leaves the
 * previous route in place. A malformed one fails the job with {@code on-error} = {@code fail}.
 */
@Internal
public final class RouteChanges implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(RouteChanges.class);

    private final OnError onError;

    @Nullable
    private final SerializableSupplier<Predicate<String>> adapters;

    private transient Predicate<String> exists;
    private transient Optional<PatientLookUps> asked;
    private transient Counter accepted;
    private transient Counter rejected;

    /** The destination of a route; both are null for a removal. */
    private record Target(@Nullable String stack, @Nullable List<RouteVariant> variants) {}

    /**
     * Creates a validator.
     *
     * @param adapters opened by the task, tells whether a change may name an adapter; null accepts any name, which the
     *     engine checks later
     */
    public RouteChanges(OnError onError, @Nullable SerializableSupplier<Predicate<String>> adapters) {
        this.onError = checkNotNull(onError, "onError is null");
        this.adapters = adapters;
    }

    /** The side output of rejected changes. */
    public static OutputTag<RejectedRoute> rejectedTag() {
        return new OutputTag<>("llamafu-rejected-routes", new RecordTypeInfo<>(RejectedRoute.class));
    }

    /** Flink cannot key by null; a change without a key is rejected later. */
    public static String keyOf(AdapterRoute change) {
        return change.getKey() == null ? "" : change.getKey();
    }

    void open(MetricGroup metrics) {
        accepted = metrics.counter("routeChanges");
        rejected = metrics.counter("rejectedRouteChanges");
        asked = Optional.ofNullable(adapters).map(lookUps -> new PatientLookUps(lookUps.get()));
        exists = asked.<Predicate<String>>map(found -> found).orElse(name -> true);
    }

    /** Idempotent; does not throw. */
    void close() {
        if (asked != null) {
            asked.ifPresent(PatientLookUps::close);
        }
    }

    /**
     * The change in its normal form, or empty if it was rejected.
     *
     * @param validFrom null if neither the change nor its timestamp gives a time
     */
    Optional<AdapterRoute> accept(AdapterRoute change, @Nullable Long validFrom, Consumer<RejectedRoute> out) {
        return judge(
                () -> normalize(change, validFrom),
                () -> RejectedRoute.newBuilder().setChange(Variants.writable(change)),
                out);
    }

    /** The rule in its normal form, or empty if it was rejected. */
    Optional<RouteRule> accept(RouteRule rule, @Nullable Long validFrom, Consumer<RejectedRoute> out) {
        return judge(
                () -> normalize(rule, validFrom),
                () -> RejectedRoute.newBuilder().setRule(Variants.writable(rule)),
                out);
    }

    /** The unchanged rule if it can be sent to another task, or empty if it was rejected. */
    Optional<RouteRule> acceptTexts(RouteRule rule, Consumer<RejectedRoute> out) {
        if (Texts.isWellFormed(rule.getName())
                && Texts.isWellFormed(rule.getKeyPattern())
                && Variants.areWritable(rule.getVariants())) {
            return Optional.of(rule);
        }
        return accept(rule, RuleBook.ALWAYS, out);
    }

    private <V> Optional<V> judge(
            Supplier<V> change, Supplier<RejectedRoute.Builder> rejection, Consumer<RejectedRoute> out) {
        try {
            V version = change.get();
            accepted.inc();
            return Optional.of(version);
        } catch (LlamafuException e) {
            rejected.inc();
            if (onError == OnError.FAIL && e.code() != ErrorCode.ADAPTER_NOT_FOUND) {
                throw e;
            }
            LOG.warn("Rejected a route change, the previous route stays: {}", e.getMessage());
            out.accept(rejection
                    .get()
                    .setErrorCode(e.code().name())
                    .setError(e.sentence())
                    .build());
            return Optional.empty();
        }
    }

    private AdapterRoute normalize(AdapterRoute change, @Nullable Long validFrom) {
        Texts.requireWellFormed("The key of a route change", change.getKey());
        String described = "The route change of key '%s'".formatted(change.getKey());
        if (change.getKey() == null) {
            throw invalid(described, "its key is null", null);
        }
        requireTime(described, validFrom);
        Target target = target(described, change.getStack(), change.getVariants());
        return new AdapterRoute(change.getKey(), target.stack(), validFrom, target.variants());
    }

    private RouteRule normalize(RouteRule rule, @Nullable Long validFrom) {
        Texts.requireWellFormed("The name of a rule", rule.getName());
        String described = "The rule '%s'".formatted(rule.getName());
        if (rule.getName() == null) {
            throw invalid(described, "its name is null, so it could not be replaced", null);
        }
        Texts.requireWellFormed("The pattern of rule '%s'".formatted(rule.getName()), rule.getKeyPattern());
        if (rule.getKeyPattern() != null && rule.getKeyPattern().length() > KeyPattern.LONGEST) {
            throw invalid(
                    described,
                    "its pattern has %d characters, but %d are the most"
                            .formatted(rule.getKeyPattern().length(), KeyPattern.LONGEST),
                    null);
        }
        requireTime(described, validFrom);
        Target target = target(described, rule.getStack(), rule.getVariants());
        return new RouteRule(
                rule.getName(), rule.getKeyPattern(), rule.getPosition(), target.stack(), target.variants(), validFrom);
    }

    private static void requireTime(String described, @Nullable Long validFrom) {
        if (validFrom == null) {
            throw invalid(
                    described,
                    "it has no time; event-time routing needs validFrom, or a timestamp assigned by a"
                            + " WatermarkStrategy",
                    null);
        }
    }

    private Target target(String described, @Nullable String stack, @Nullable List<RouteVariant> variants) {
        Target target;
        try {
            List<RouteVariant> checked = Variants.check(stack, variants);
            target = new Target(stack == null ? null : AdapterStack.parse(stack).toString(), checked);
        } catch (LlamafuException e) {
            throw invalid("%s to '%s'".formatted(described, stack == null ? variants : stack), e.sentence(), e);
        }
        if (target.stack() != null) {
            requireAdapters(described, target.stack());
        }
        if (target.variants() != null) {
            target.variants().forEach(variant -> requireAdapters(described, variant.getStack()));
        }
        return target;
    }

    private void requireAdapters(String described, String stack) {
        for (AdapterStack.Entry entry : AdapterStack.parse(stack).entries()) {
            if (!exists.test(entry.name())) {
                throw new LlamafuException(
                        ErrorCode.ADAPTER_NOT_FOUND,
                        "%s to '%s' names the adapter '%s', which does not exist; publish it first, or correct the name."
                                .formatted(described, stack, entry.name()));
            }
        }
    }

    private static LlamafuException invalid(String described, String why, @Nullable LlamafuException cause) {
        return new LlamafuException(ErrorCode.INVALID_REQUEST, "%s is invalid: %s".formatted(described, why), cause);
    }
}
