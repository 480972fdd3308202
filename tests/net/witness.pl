# A witness on a device: writes a line for each packet that leaves by it and is none of the tunnel's.
#
#   witness.pl DEVICE FILE [PORT]...
#
# The tunnel's are UDP packets to one of the ports, and not too short.  ARP and what IPv6 needs on the link (neighbour
# discovery, multicast listener reports) leave no matter what.  The file is there once it listens.
use strict;
use warnings;

my ($device, $file, @ports) = @ARGV;
my $shortest = 8 + 16 + 12 + 16; # UDP header, and a message's header, nonce and tag
my %tunnel = map { $_ => 1 } @ports;
open my $index, '<', "/sys/class/net/$device/ifindex" or die "$device: $!";
my $ifindex = <$index> + 0;
socket(my $sock, 17, 3, unpack 'n', pack 'S', 3) or die "packet socket: $!"; # PF_PACKET, RAW, all
bind $sock, pack 'S n l S C C x8', 17, 3, $ifindex, 0, 0, 0 or die "bind: $!";
open my $out, '>', $file or die "$file: $!";
$out->autoflush(1);

while (my $from = recv $sock, my $frame, 2048, 0) {
    my (undef, undef, undef, undef, $type) = unpack 'S n l S C', $from;
    next if $type != 4 || length $frame < 42; # outgoing alone
    my $ether = unpack 'x12 n', $frame;
    if ($ether == 0x0800) {
        my ($first, $proto, $src, $dst) = unpack 'C x8 C x2 a4 a4', substr $frame, 14;
        my (undef, $dport, $len) = unpack 'n n n', substr $frame, 14 + 4 * ($first & 15);
        next if $proto == 17 && $tunnel{$dport} && $len >= $shortest;
        printf $out "IPv4 proto %d %s > %s%s\n", $proto, join('.', unpack 'C4', $src),
            join('.', unpack 'C4', $dst), $proto == 6 || $proto == 17 ? ".$dport" : '';
    } elsif ($ether == 0x86dd) {
        my ($next, $src, $dst) = unpack 'x6 C x a16 a16', substr $frame, 14;
        next if length $frame < 62;
        my ($icmp, undef, $dport, $len) = (unpack('C', substr $frame, 54), unpack 'n n n', substr $frame, 54);
        next if $next == 17 && $tunnel{$dport} && $len >= $shortest;
        next if $next == 0 || $next == 58 && ($icmp == 143 || $icmp >= 133 && $icmp <= 136);
        printf $out "IPv6 next %d %s > %s%s\n", $next, unpack('H32', $src), unpack('H32', $dst),
            $next == 6 || $next == 17 ? ".$dport" : '';
    }
}
