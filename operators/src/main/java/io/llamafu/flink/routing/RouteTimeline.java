package io.llamafu.flink.routing;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The routes of one key over event time, as far as a record can still need them. */
final class RouteTimeline {
    private final List<RouteVersion> versions;
    private boolean trimmed;

    private RouteTimeline(List<RouteVersion> versions, boolean trimmed) {
        this.versions = versions;
        this.trimmed = trimmed;
    }

    static RouteTimeline empty() {
        return new RouteTimeline(new ArrayList<>(), false);
    }

    static RouteTimeline of(RouteHistory history) {
        return new RouteTimeline(new ArrayList<>(history.getVersions()), history.getTrimmed());
    }

    RouteHistory toHistory() {
        return new RouteHistory(List.copyOf(versions), trimmed);
    }

    /** Adds a version; it replaces one of the same time. */
    void add(RouteVersion version) {
        int index = newestUntil(version.getValidFrom());
        if (index >= 0 && versions.get(index).getValidFrom() == version.getValidFrom()) {
            versions.set(index, version);
        } else {
            versions.add(index + 1, version);
        }
    }

    /**
     * The newest version at a time. For a time older than all versions it is empty, the default route, unless older
     * versions were dropped: then it is the oldest left, the nearest that is still known.
     */
    Optional<RouteVersion> at(long time) {
        int index = newestUntil(time);
        if (index >= 0) {
            return Optional.of(versions.get(index));
        }
        return trimmed && !versions.isEmpty() ? Optional.of(versions.get(0)) : Optional.empty();
    }

    /**
     * Drops the versions that no record after this time needs.
     *
     * <p>The newest one stays even if it is the default route: a late change of an older time must not outlive it.
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
        while (index >= 0 && versions.get(index).getValidFrom() > time) {
            index--;
        }
        return index;
    }
}
