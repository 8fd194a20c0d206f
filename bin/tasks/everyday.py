"""A few hundred everyday English words, written down for this project: what the tasks made by seed are made of."""

WORDS = """
ant ape bear bee bird cat chicken cow crab deer dog dolphin donkey duck eagle elephant fish fly fox frog goat goose hen horse lion
lizard monkey mouse owl ox parrot pig pigeon rabbit rat shark sheep snake spider swan tiger turtle whale wolf worm zebra
apple banana bean beer bread butter cabbage cake candy carrot cheese cherry coffee cookie corn egg flour garlic grape ham honey
ice jam juice lemon lunch meat milk mushroom nut oil onion orange pasta peach pear pepper pie plum potato rice salad salt sauce
sausage soup spinach sugar supper tea toast tomato vinegar water wine
arm back belly blood body bone brain cheek chest chin ear elbow eye face finger foot hair hand head heart hip knee leg lip lung
mouth nail neck nose shoulder skin stomach thumb toe tongue tooth
apron belt boot button cap coat dress glove hat jacket pants pocket ring scarf shirt shoe skirt sleeve sock sweater tie
attic balcony basket bath bed bell blanket book bottle bowl box broom brush bucket candle carpet chair clock comb corner couch cup
curtain desk dish door drawer drum fence floor fork garage garden gate glass hammer house jar kettle key kitchen knife ladder lamp
letter lock map mirror mug needle newspaper oven paint pan paper pen pencil phone picture pillow pipe plate purse radio razor roof
rope rug scissors shelf shower sink soap spoon stairs stove table tent towel toy tray umbrella vase wall wheel window
airport bakery bank barn beach bridge castle church city clinic factory farm harbor hospital hotel island library market museum
office palace park prison road school shop stadium station store street theater tower town tunnel village yard zoo
bicycle boat bus car engine ferry plane rocket ship taxi ticket train truck van wagon
air bush cave cliff cloud coast desert dust earth field fire flower forest grass hill lake leaf light meadow moon mountain mud
ocean planet rain river rock sand sea shadow sky smoke snow star stone storm stream sun thunder tree valley wave wind wood
artist aunt baby baker boy brother child cook cousin dancer daughter doctor driver farmer father friend girl guest hunter husband
judge king lawyer mother nurse painter pilot poet prince queen sailor sister soldier son student teacher thief uncle waiter wife
autumn birthday century day evening hour minute month morning night second spring summer week weekend winter year
angry bitter black blue brave bright brown busy calm cheap clean clever cold cool dark deep dirty dry early easy empty fast fat
flat fresh full gentle gray great green happy hard heavy high hot hungry kind large late lazy long loud low narrow new old pink
poor pretty purple quick quiet red rich round sad sharp short shy sick silver simple slow small smooth soft sour strong sweet
tall thick thin tired warm weak wet white wide wild yellow young
answer bake begin borrow bring build burn buy carry catch choose climb close count cry cut dance dig draw dream drink drive eat
fall feel fight find finish follow forget give grow hear help hide hold hope hunt jump keep kick laugh lead learn leave listen
look love make meet move open pay play pull push read remember rest ride run save see sell send sing sit sleep smile speak stand
start stop swim talk taste teach tell think throw touch travel try turn visit wait wake walk want wash watch wear win work write
""".split()
