package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.RouteRule;
import io.llamafu.flink.RouteVariant;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.List;

/** A route to one stack, or to several that share the records by weight. */
final class Variants {
    /** Limits the sum of weights so that it cannot overflow. */
    static final int MOST = 100;

    private Variants() {}

    /**
     * The stack of a record, or null if the route was removed.
     *
     * <p>The choice depends on the record alone, so a replay on any machine repeats it. A variant that gains weight
     * from its neighbor keeps the records that it has.
     */
    @Nullable
    static String choose(@Nullable String stack, @Nullable List<RouteVariant> variants, RoutedRequest request) {
        if (variants == null) {
            return stack;
        }
        long total = variants.stream().mapToLong(RouteVariant::getWeight).sum();
        // The hash as a fraction of its range, times the total: the upper half of their product.
        long point = Math.multiplyHigh(StableHash.of(identity(request)) >>> 1, total << 1);
        long reached = 0;
        for (RouteVariant variant : variants) {
            reached += variant.getWeight();
            if (point < reached) {
                return variant.getStack();
            }
        }
        throw new IllegalStateException("The point %d is not below the sum of %s.".formatted(point, variants));
    }

    private static String identity(RoutedRequest request) {
        return request.getId() == null ? request.getKey() + "\0" + request.getPrompt() : request.getId();
    }

    /** The variants with their stacks in normal form, or null if there are none. */
    @Nullable
    static List<RouteVariant> check(@Nullable String stack, @Nullable List<RouteVariant> variants) {
        if (variants == null || variants.isEmpty()) {
            return null;
        }
        if (stack != null) {
            throw invalid("it has both a stack and variants; give one of them");
        }
        if (variants.size() > MOST) {
            throw invalid("it has %d variants, but %d are the most".formatted(variants.size(), MOST));
        }
        List<RouteVariant> checked = new ArrayList<>();
        long total = 0;
        for (int i = 0; i < variants.size(); i++) {
            RouteVariant variant = variants.get(i);
            if (!isWritable(variant)) {
                throw invalid("its variant %d has no stack; give it one, the empty string for the base model"
                        .formatted(i + 1));
            }
            if (variant.getWeight() < 0) {
                throw invalid("the weight of variant '%s' is %d, but must be 0 or more"
                        .formatted(variant.getStack(), variant.getWeight()));
            }
            total += variant.getWeight();
            checked.add(new RouteVariant(AdapterStack.parse(variant.getStack()).toString(), variant.getWeight()));
        }
        if (total == 0) {
            throw invalid("the weights of its variants are all 0, so no record could take one");
        }
        return checked;
    }

    /** Whether Avro can serialize them. */
    static boolean areWritable(@Nullable List<RouteVariant> variants) {
        return variants == null || variants.stream().allMatch(Variants::isWritable);
    }

    private static boolean isWritable(@Nullable RouteVariant variant) {
        return variant != null && variant.getStack() != null;
    }

    /** The change without variants that Avro cannot serialize. */
    static AdapterRoute writable(AdapterRoute change) {
        return areWritable(change.getVariants())
                ? change
                : new AdapterRoute(change.getKey(), change.getStack(), change.getValidFrom(), null);
    }

    /** The rule without variants that Avro cannot serialize. */
    static RouteRule writable(RouteRule rule) {
        return areWritable(rule.getVariants())
                ? rule
                : new RouteRule(
                        rule.getName(),
                        rule.getKeyPattern(),
                        rule.getPosition(),
                        rule.getStack(),
                        null,
                        rule.getValidFrom());
    }

    private static LlamafuException invalid(String why) {
        return new LlamafuException(ErrorCode.INVALID_REQUEST, why);
    }
}
