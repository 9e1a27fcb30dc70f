import dev.eventfold.AppendResult;
import dev.eventfold.Event;
import dev.eventfold.EventfoldClient;
import dev.eventfold.Fold;
import dev.eventfold.RecordedEvent;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;

/** Two writers withdraw at once: one is refused by the version, and decides again. */
public final class Bank {
    /** Category of the accounts. */
    public static final String CATEGORY = "account";

    private static final long RACE_S = 30;

    private final EventfoldClient store;
    private final Fold fold;
    private final Consumer<String> say;

    /** All that a withdrawal is decided on. */
    public record Account(boolean open, Optional<String> owner, BigDecimal balance) {}

    /** The rules of the bank forbid it. */
    public static final class Refused extends RuntimeException {
        private static final long serialVersionUID = 1;

        Refused(String message) {
            super(message);
        }
    }

    /** What came of a race: how many withdrawals succeeded, and how many decisions that took. */
    public record Race(int succeeded, int decisions) {}

    /** A bank on a store; {@code say} is told what happens. */
    public Bank(EventfoldClient store, Fold fold, Consumer<String> say) {
        this.store = store;
        this.fold = fold;
        this.say = say;
    }

    // What an account decides: from its state to events, or a refusal.

    static Function<Account, List<Event>> openAccount(String owner) {
        return account ->
                account.open()
                        ? List.of()
                        : List.of(Event.of("AccountOpened", Map.of("owner", owner)));
    }

    static Function<Account, List<Event>> deposit(BigDecimal amount) {
        return account -> {
            check(account, amount);
            return List.of(Event.of("MoneyDeposited", Map.of("amount", amount)));
        };
    }

    static Function<Account, List<Event>> withdraw(BigDecimal amount) {
        return account -> {
            check(account, amount);
            if (amount.compareTo(account.balance()) > 0) {
                throw new Refused(
                        "the balance is " + account.balance() + ", which is less than " + amount);
            }
            return List.of(Event.of("MoneyWithdrawn", Map.of("amount", amount)));
        };
    }

    private static void check(Account account, BigDecimal amount) {
        if (!account.open()) {
            throw new Refused("the account is not open");
        }
        if (amount.signum() <= 0) {
            throw new Refused("an amount is above 0, not " + amount);
        }
    }

    /** Reads the account, decides, and appends; again from the start if it has moved. */
    public Optional<AppendResult> act(String account, Function<Account, List<Event>> decide) {
        return store.retry(CATEGORY, account, fold, Account.class, decide);
    }

    /** The balance as it is now: folded from the events, on the spot. */
    public BigDecimal balance(String account) {
        return store.hydrate(CATEGORY, account, fold, Account.class).state().balance();
    }

    /** Ada and Bo withdraw at the same time, on the same state. */
    public Race race(String account, BigDecimal amount) {
        CyclicBarrier meeting = new CyclicBarrier(2);
        AtomicInteger decisions = new AtomicInteger();
        ExecutorService pool = Executors.newFixedThreadPool(2);
        List<Future<Boolean>> taken = new ArrayList<>();
        for (String name : List.of("Ada", "Bo")) {
            taken.add(pool.submit(() -> take(account, amount, name, meeting, decisions)));
        }
        int succeeded = 0;
        try {
            for (Future<Boolean> one : taken) {
                succeeded += one.get() ? 1 : 0;
            }
        } catch (InterruptedException | ExecutionException error) {
            throw new IllegalStateException(error);
        } finally {
            pool.shutdown();
        }
        return new Race(succeeded, decisions.get());
    }

    private boolean take(
            String account,
            BigDecimal amount,
            String name,
            CyclicBarrier meeting,
            AtomicInteger decisions) {
        AtomicInteger calls = new AtomicInteger();
        try {
            act(
                    account,
                    state -> {
                        decisions.incrementAndGet();
                        boolean isFirst = calls.incrementAndGet() == 1;
                        String again = isFirst ? "" : " decides again:";
                        say.accept(
                                "  " + name + again + " sees a balance of " + state.balance());
                        if (isFirst) {
                            meet(meeting);
                        }
                        return withdraw(amount).apply(state);
                    });
        } catch (Refused refused) {
            say.accept("  " + name + " gets nothing: " + refused.getMessage());
            return false;
        }
        say.accept("  " + name + " has " + amount);
        return true;
    }

    /** Waits until both have read the same state. */
    private static void meet(CyclicBarrier meeting) {
        try {
            meeting.await(RACE_S, TimeUnit.SECONDS);
        } catch (InterruptedException | BrokenBarrierException | TimeoutException error) {
            throw new IllegalStateException(error);
        }
    }

    /** The life of an account, on a stream of its own; what came of its two races. */
    public List<Race> run() {
        String account = UUID.randomUUID().toString();
        act(account, openAccount("u-1"));
        act(account, deposit(new BigDecimal("100.00")));
        say.accept(CATEGORY + "-" + account + " is open, with " + balance(account));
        List<Race> races = new ArrayList<>();
        for (String amount : List.of("30.00", "25.50")) {
            say.accept("Both withdraw " + amount + ":");
            Race race = race(account, new BigDecimal(amount));
            races.add(race);
            say.accept(
                    "  " + race.succeeded() + " of 2 succeeded after " + race.decisions()
                            + " decisions; the balance is " + balance(account));
        }
        say.accept("What happened, as it will always be told:");
        for (RecordedEvent event : store.read(EventfoldClient.streamName(CATEGORY, account))) {
            say.accept("  " + event.version() + "  " + event.type() + "  " + event.data());
        }
        return races;
    }

    /** Arguments: the address of a server, and the file of the fold. */
    public static void main(String[] args) throws IOException {
        String target = args.length > 0 ? args[0] : "127.0.0.1:4141";
        Path file = Path.of(args.length > 1 ? args[1] : "../../examples/bank/account.fold.yaml");
        try (EventfoldClient store = EventfoldClient.connect(target)) {
            new Bank(store, Fold.file(file), System.out::println).run();
        }
    }
}
