package io.llamafu.flink.artifact;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.annotation.Internal;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.util.concurrent.TimeoutException;

import static java.nio.charset.StandardCharsets.UTF_8;

/** A text file that an option names, read whole from any file system of Flink. */
@Internal
public final class SmallFile {
    private SmallFile() {}

    /**
     * Reads it. Blocks; an interrupt ends it with an error.
     *
     * @param option the key whose value is the location
     * @param mostBytes the longest file accepted
     * @param unusable the code if there is no such file, or it is too long or no UTF-8
     * @throws LlamafuException with that code, INVALID_OPTION if there is no such file system, and ARTIFACT_UNAVAILABLE if
     *     it cannot be read or hangs
     */
    public static String read(String option, String location, int mostBytes, ErrorCode unusable) {
        byte[] bytes;
        if (Location.parse(option, location) instanceof Location.Remote remote) {
            bytes = remote(option, remote.uri(), mostBytes, unusable);
        } else {
            Location.Local local = (Location.Local) Location.parse(option, location);
            try (InputStream in = Files.newInputStream(local.path())) {
                bytes = in.readNBytes(mostBytes + 1);
            } catch (IOException e) {
                throw new LlamafuException(
                        unusable,
                        "%s is '%s', which this TaskManager cannot read (%s); put the file there, or correct the option."
                                .formatted(option, location, e),
                        e);
            }
        }
        if (bytes.length > mostBytes) {
            throw new LlamafuException(
                    unusable, "%s is '%s', which has more than %d bytes.".formatted(option, location, mostBytes));
        }
        try {
            return UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException e) {
            throw new LlamafuException(
                    unusable, "%s is '%s', which is no text in UTF-8.".formatted(option, location), e);
        }
    }

    /** Nothing to close; what arrives too late is dropped. */
    @SuppressWarnings("ArrayRecordComponent")
    private record Content(byte[] bytes) implements AutoCloseable {
        @Override
        public void close() {}
    }

    private static byte[] remote(String option, URI uri, int mostBytes, ErrorCode unusable) {
        try {
            Content content = StoreThreads.call("llamafu-file-fetch", StoreThreads.STALLED, progress -> {
                try (InputStream in = RemoteFile.at(uri).open()) {
                    return new Content(in.readNBytes(mostBytes + 1));
                }
            });
            return content.bytes();
        } catch (IOException e) {
            throw ArtifactErrors.coded(option, uri, unusable, e);
        } catch (TimeoutException e) {
            throw ArtifactErrors.hangs("Reading '%s'".formatted(uri));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new LlamafuException(
                    ErrorCode.ARTIFACT_UNAVAILABLE, "The task was cancelled while it read '%s'.".formatted(uri), e);
        }
    }
}
