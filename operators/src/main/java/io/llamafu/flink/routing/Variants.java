package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.RouteVariant;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.List;

/** A route to one stack, or to several that share the records by weight. */
final class Variants {
    /** A sum of as many weights cannot overflow. */
    static final int MOST = 100;

    private Variants() {}

    /**
     * The stack of a record, or null if the route was taken away.
     *
     * <p>The choice is a function of the record alone: whoever asks again, on any machine, gets the same. A variant that
     * is given more weight at the cost of its neighbour keeps the records that it has.
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

    /** The variants with their stacks as they are written without white space, or null if there are none. */
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
        for (RouteVariant variant : variants) {
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

    private static LlamafuException invalid(String why) {
        return new LlamafuException(ErrorCode.INVALID_REQUEST, why);
    }
}
