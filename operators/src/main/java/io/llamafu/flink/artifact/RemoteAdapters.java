package io.llamafu.flink.artifact;

import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.LocalAdapters;

import java.net.URI;
import java.time.Duration;
import java.util.Optional;
import java.util.function.Predicate;

import static org.apache.flink.util.Preconditions.checkNotNull;

/**
 * Adapters of which some are in file systems of Flink; those are fetched into a cache.
 *
 * @param remote the remote ones
 * @param local the others; only one of the two has a folder
 * @param cache for fetched files, with all links resolved; not used before the source is opened
 * @param refreshInterval between listings
 * @param stalled how long a call to a store may make no progress
 */
record RemoteAdapters(
        RemoteFiles remote,
        LocalAdapters local,
        ArtifactCache.Settings cache,
        Duration refreshInterval,
        Duration stalled)
        implements AdapterSource {
    RemoteAdapters {
        checkNotNull(remote, "remote is null");
        checkNotNull(local, "local is null");
        checkNotNull(cache, "cache is null");
        checkNotNull(refreshInterval, "refreshInterval is null");
        checkNotNull(stalled, "stalled is null");
    }

    /** Whether an adapter of this name would have to be fetched. */
    boolean isRemote(String name) {
        return remote.files().containsKey(name)
                || (remote.folder().isPresent() && !local.files().containsKey(name));
    }

    @Override
    public Predicate<String> lookUps() {
        RemoteLookUps lookUps = new RemoteLookUps(remote, refreshInterval, System::nanoTime);
        Predicate<String> localLookUps = local.lookUps();
        return name -> (isRemote(name) ? lookUps : localLookUps).test(name);
    }

    /** Lists the adapters before it returns. */
    @Override
    public Session open() {
        return RemoteSession.open(this);
    }

    /** For messages. */
    String described() {
        boolean files = !remote.files().isEmpty() || !local.files().isEmpty();
        Optional<String> folder =
                remote.folder().map(URI::toString).or(() -> local.folder().map(Object::toString));
        return folder.map(name -> "'" + name + "'" + (files ? " and adapters.files" : ""))
                .orElse("adapters.files");
    }
}
