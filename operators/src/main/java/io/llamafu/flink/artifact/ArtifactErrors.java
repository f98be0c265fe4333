package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.core.fs.UnsupportedFileSystemSchemeException;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;

/** Codes for failures to fetch a file. */
final class ArtifactErrors {
    private ArtifactErrors() {}

    /**
     * A failure with its code.
     *
     * @param what the option or adapter that needs the file
     * @param missing the code if there is no such file
     */
    static LlamafuException coded(String what, URI uri, ErrorCode missing, IOException failure) {
        if (failure instanceof FileNotFoundException) {
            return new LlamafuException(
                    missing, "%s is '%s', which is not there: %s.".formatted(what, uri, failure.getMessage()), failure);
        }
        if (failure instanceof UnsupportedFileSystemSchemeException) {
            return new LlamafuException(
                    ErrorCode.INVALID_OPTION,
                    "%s is '%s', but this TaskManager has no file system for '%s'; put its plugin into Flink's plugins folder."
                            .formatted(what, uri, uri.getScheme()),
                    failure);
        }
        return new LlamafuException(
                ErrorCode.ARTIFACT_UNAVAILABLE,
                "%s is '%s', which cannot be fetched (%s); check that the TaskManager reaches its file system."
                        .formatted(what, uri, failure),
                failure);
    }

    /** A call that was abandoned. */
    static LlamafuException hangs(String what) {
        return new LlamafuException(
                ErrorCode.ARTIFACT_UNAVAILABLE,
                "%s has made no progress for too long and was given up; check that the TaskManager reaches its file system."
                        .formatted(what));
    }
}
