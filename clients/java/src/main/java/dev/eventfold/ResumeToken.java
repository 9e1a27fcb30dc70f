package dev.eventfold;

import com.google.protobuf.ByteString;
import java.util.Base64;

/**
 * Stands for a position of one very log: opaque, under 400 bytes. Keep its {@link #bytes}, or its
 * {@link #text}.
 */
public final class ResumeToken {
    /** The beginning of any log. */
    public static final ResumeToken NONE = new ResumeToken(ByteString.EMPTY);

    private final ByteString bytes;

    private ResumeToken(ByteString bytes) {
        this.bytes = bytes;
    }

    static ResumeToken of(ByteString bytes) {
        return bytes.isEmpty() ? NONE : new ResumeToken(bytes);
    }

    /** The token of these bytes. */
    public static ResumeToken of(byte[] bytes) {
        return of(ByteString.copyFrom(bytes));
    }

    /** The token of such a text as {@link #text} gives. */
    public static ResumeToken of(String text) {
        return of(Base64.getUrlDecoder().decode(text));
    }

    ByteString wire() {
        return bytes;
    }

    /** Whether it stands for nothing. */
    public boolean isEmpty() {
        return bytes.isEmpty();
    }

    /** Its bytes, a copy. */
    public byte[] bytes() {
        return bytes.toByteArray();
    }

    /** Its bytes as text, in Base64 for addresses. */
    public String text() {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes.toByteArray());
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ResumeToken token && bytes.equals(token.bytes);
    }

    @Override
    public int hashCode() {
        return bytes.hashCode();
    }

    @Override
    public String toString() {
        return "ResumeToken[" + text() + "]";
    }
}
