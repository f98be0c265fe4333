package io.llamafu.adapter;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;

import static java.util.Objects.requireNonNull;

/** A source of adapters. A value: equal sources have the same adapters. */
public interface AdapterSource {
    /**
     * Looks up whether adapters exist, without opening the source or reading a file. May wait for a disk or a network,
     * and fails with {@link ErrorCode#ARTIFACT_UNAVAILABLE} if the answer is unknown. For one thread.
     */
    Predicate<String> lookUps();

    /**
     * Opens the source for an engine.
     *
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if there is no such folder, or a name is malformed or
     *     stands for two files; {@link ErrorCode#ARTIFACT_UNAVAILABLE} if it cannot be reached
     */
    Session open();

    /** An open source. Thread-safe. Its string names the source in messages. */
    interface Session extends AutoCloseable {
        /** The names of all adapters in order; waits only for a local folder. */
        List<String> names();

        /**
         * The version that a name stands for. Waits only for attributes of local files; anything slower completes the
         * future later. Fails with {@link ErrorCode#ADAPTER_INVALID} if the name leads to something other than a
         * regular file.
         */
        CompletableFuture<Optional<Version>> find(String name);

        /**
         * Brings the files of a version, or of a later one, to this machine and keeps them there until the result is
         * closed. Does not wait.
         */
        CompletableFuture<Pinned> pin(Version version);

        /** Whether an earlier version is still valid now that this one was found. */
        default boolean holds(Version earlier, Version found) {
            return earlier.equals(found);
        }

        /**
         * Whether the file of a version is being changed in place, so that the version is neither there nor replaced.
         */
        default boolean isBeingOverwritten(Version version) {
            return false;
        }

        /** Fails incomplete futures. Idempotent; does not throw. */
        @Override
        void close();
    }

    /** One version of an adapter, as identified by its source. Equal versions have the same file and card. */
    interface Version {
        String name();

        /** Size of the adapter's file. */
        long byteSize();

        /** Equal for versions with the same adapter file, whatever their cards. */
        Object content();

        /** The file, if it is on this machine without being fetched. */
        Optional<Path> file();

        /** The card beside that file. */
        Optional<Path> card();
    }

    /**
     * The files of a version on this machine.
     *
     * @param digest lower-case hexadecimal SHA-256 of the file, if the source knows it
     * @param origin added in messages to a path that means nothing to users; may be empty
     * @param release releases the files
     */
    record Pinned(
            Version version, Path file, Optional<Path> card, Optional<String> digest, String origin, Runnable release)
            implements AutoCloseable {
        public Pinned {
            requireNonNull(version, "version is null");
            requireNonNull(file, "file is null");
            requireNonNull(card, "card is null");
            requireNonNull(digest, "digest is null");
            requireNonNull(origin, "origin is null");
            requireNonNull(release, "release is null");
        }

        /** Does not throw. */
        @Override
        public void close() {
            release.run();
        }
    }
}
