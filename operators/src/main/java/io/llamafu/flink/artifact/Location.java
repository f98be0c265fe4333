package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.annotation.Internal;

import java.net.URI;
import java.nio.file.Path;

/** The location of a model, adapter or adapter folder. */
@Internal
public sealed interface Location {

    /** On this machine; used in place. */
    record Local(Path path) implements Location {}

    /** In another file system of Flink; fetched into the cache. */
    record Remote(URI uri) implements Location {}

    /**
     * Parses the written form: a path, a {@code file://} URI, or a URI of another scheme. A value that contains {@code
     * ://} or begins with {@code file:} is a URI, anything else a path, because file names may contain a colon.
     *
     * @param option the key of the value
     * @throws LlamafuException with {@link ErrorCode#INVALID_OPTION} if it is a malformed URI
     */
    static Location parse(String option, String value) {
        boolean file = value.startsWith("file:");
        if (!file && !value.contains("://")) {
            return new Local(Path.of(value));
        }
        try {
            // Flink's path accepts spaces, and drops the slash at the end of a folder.
            return file
                    ? new Local(Path.of(URI.create(value)))
                    : new Remote(new org.apache.flink.core.fs.Path(value).toUri());
        } catch (IllegalArgumentException e) {
            throw new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "%s is '%s', which is no %sURI (%s): write it like '%s/models/base.gguf', or give a path."
                            .formatted(
                                    option,
                                    value,
                                    file ? "file:// " : "",
                                    e.getMessage(),
                                    file ? "file://" : "s3://bucket"),
                    e);
        }
    }
}
