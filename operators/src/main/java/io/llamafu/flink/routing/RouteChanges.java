package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterStack;
import io.llamafu.flink.AdapterRoute;
import io.llamafu.flink.OnError;
import org.apache.flink.annotation.Internal;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import javax.annotation.Nullable;
import java.io.Serializable;
import java.util.Optional;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Lets only well-formed route changes through. Others fail the job with {@code on-error} = {@code fail}, and otherwise
 * leave the key's previous route as it is.
 */
@Internal
public final class RouteChanges implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final Logger LOG = LoggerFactory.getLogger(RouteChanges.class);

    private final OnError onError;
    private transient Counter accepted;
    private transient Counter rejected;

    public RouteChanges(OnError onError) {
        this.onError = checkNotNull(onError, "onError is null");
    }

    /** Flink cannot key by null. Such a record carries its error already, and such a change is rejected. */
    public static String keyOf(RoutedRequest request) {
        return request.getKey() == null ? "" : request.getKey();
    }

    public static String keyOf(AdapterRoute change) {
        return change.getKey() == null ? "" : change.getKey();
    }

    void open(MetricGroup metrics) {
        accepted = metrics.counter("routeChanges");
        rejected = metrics.counter("rejectedRouteChanges");
    }

    /**
     * The change as a version to keep, or empty if it was rejected.
     *
     * @param validFrom null if nobody said when the change begins
     */
    Optional<RouteVersion> accept(AdapterRoute change, @Nullable Long validFrom) {
        try {
            RouteVersion version = toVersion(change, validFrom);
            accepted.inc();
            return Optional.of(version);
        } catch (LlamafuException e) {
            rejected.inc();
            if (onError == OnError.FAIL) {
                throw e;
            }
            LOG.warn("Rejected a route change, the previous route stays: {}", e.toString());
            return Optional.empty();
        }
    }

    private static RouteVersion toVersion(AdapterRoute change, @Nullable Long validFrom) {
        if (change.getKey() == null) {
            throw invalid(change, "its key is null", null);
        }
        if (validFrom == null) {
            throw invalid(
                    change,
                    "it has no time; event-time routing needs validFrom, or a timestamp assigned by a"
                            + " WatermarkStrategy",
                    null);
        }
        try {
            String stack = change.getStack();
            return new RouteVersion(
                    validFrom, stack == null ? null : AdapterStack.parse(stack).toString());
        } catch (LlamafuException e) {
            throw invalid(change, e.getMessage(), e);
        }
    }

    private static LlamafuException invalid(AdapterRoute change, String why, @Nullable LlamafuException cause) {
        return new LlamafuException(
                ErrorCode.INVALID_REQUEST,
                "The route change of key '%s' to '%s' is invalid: %s"
                        .formatted(change.getKey(), change.getStack(), why),
                cause);
    }
}
