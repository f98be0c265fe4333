package io.llamafu.flink.routing;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;

/**
 * The versions of a route or rule over event time, as far as a record can still need them.
 *
 * @param <V> a version
 */
final class Timeline<V> {
    private final List<V> versions;
    private final ToLongFunction<V> validFrom;
    private boolean trimmed;

    private Timeline(List<V> versions, boolean trimmed, ToLongFunction<V> validFrom) {
        this.versions = versions;
        this.trimmed = trimmed;
        this.validFrom = validFrom;
    }

    /** Null is a history without versions. */
    static Timeline<RouteVersion> of(RouteHistory history) {
        return history == null
                ? new Timeline<>(new ArrayList<>(), false, RouteVersion::getValidFrom)
                : new Timeline<>(
                        new ArrayList<>(history.getVersions()), history.getTrimmed(), RouteVersion::getValidFrom);
    }

    /** Null is a history without versions. */
    static Timeline<RuleVersion> of(RuleHistory history) {
        return history == null
                ? new Timeline<>(new ArrayList<>(), false, RuleVersion::getValidFrom)
                : new Timeline<>(
                        new ArrayList<>(history.getVersions()), history.getTrimmed(), RuleVersion::getValidFrom);
    }

    List<V> versions() {
        return List.copyOf(versions);
    }

    /** Whether older versions were dropped. */
    boolean trimmed() {
        return trimmed;
    }

    /** Adds a version; it replaces one of the same time. */
    void add(V version) {
        int index = newestUntil(validFrom.applyAsLong(version));
        if (index >= 0 && validFrom.applyAsLong(versions.get(index)) == validFrom.applyAsLong(version)) {
            versions.set(index, version);
        } else {
            versions.add(index + 1, version);
        }
    }

    /**
     * The newest version at a time. For a time older than all versions there is none, unless older versions were dropped:
     * then it is the oldest left, the nearest that is still known.
     */
    Optional<V> at(long time) {
        int index = newestUntil(time);
        if (index >= 0) {
            return Optional.of(versions.get(index));
        }
        return trimmed && !versions.isEmpty() ? Optional.of(versions.get(0)) : Optional.empty();
    }

    /**
     * Drops the versions that no record after this time needs.
     *
     * <p>The newest one stays even if it takes the route away: a late change of an older time must not outlive it.
     *
     * @return whether there were any
     */
    boolean trim(long time) {
        int index = newestUntil(time);
        if (index <= 0) {
            return false;
        }
        versions.subList(0, index).clear();
        trimmed = true;
        return true;
    }

    private int newestUntil(long time) {
        int index = versions.size() - 1;
        while (index >= 0 && validFrom.applyAsLong(versions.get(index)) > time) {
            index--;
        }
        return index;
    }
}
