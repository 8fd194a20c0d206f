"""English words whose usual answer by the dictionaries is wrong, rare, misspelled or only one of several meanings.

Found by reading: the dictionaries sort meanings by the alphabet, and the two small ones have mistakes."""

LEFT_OUT = {
    "fra": """
        accelerate accomplishment accumulate acknowledge act activate adhere adjunct adjust affect affected aggravate
        agricultural airplane announcement annoy antelope appointment appreciate approval arrow assembly attend attract
        attraction autumn ball bark barrel bath battery bed behavior bid binding bit boast calculation cell channel
        charm chemist chief circumstance clarify coach commend commute compartment compatible complaint conclusion
        connection conserve container contemplate continue converse corner court curl dampen data deal deem department
        depend deprive description desk diagram difficult dim disappoint disappointment discover disposal dissolve dog
        drug dull each emphasis endorse enter entertainment envy escape essay establish everyday evoke exceed excite
        exclude experienced extension find flee flight float fluid follow foolish former found frighten gag gathering
        gentle great grief guarantee hard harvest hold hook host identify ignore impulse indictment induce insane insert
        inspire institution intend inventory isolation kill king lean legal life lively locate low luck luxury mad
        magician maintenance making manage match meal measurable meet mercy mess mistaken monster mood motive mount name
        news old oppose opposite overall party pattern person plain plate platform post practical press pretend prevent
        prize procedure provoke pure pursue random reach reader realm recall recent receptionist reciprocal
        recommendation recover recovery recreation reflect register remember removal representation resemble respond
        responsibility responsible rest resume retain retention retirement retreat rise royalty rude rumor run rustle
        sacred salary sale screen screw search secure see seek sensation sense separation settlement shame shift shove
        sink sip sit slip solder solitary southern spit spread squad squeeze stimulate stimulus story strike string
        stupid submit succeed superior suppress sustain swallow swear swirl sympathetic tape temptation tendency
        terrific thanks thing tight timber time tiny topic treasure trial trick trouble try tune understanding unite
        unity urge useless value vary verify vicious volley warning weigh weight whirl worry wrong yes
    """,
    "spa": """
        abstraction academic accomplishment accord accumulate ache achievement acquisition activity addition additional
        adjunct advise affix afford alert amount anecdote annual anxious apparent apply appreciate approval approve
        arise article attend bad ball bark barrier basic bear become best bet bill bind biscuit bit bond borrow bottom
        brass bright brilliant builder bulb bullet butcher cabin calf cash catch chance channel character chemist chest
        cigarette clarify collision come commotion compare compartment complex component concerned conclude condemnation
        conserve container continue contractor cord correspond couch course court create curse cycle damp data debris
        declaration deduce depart depression descend develop diagram dictionary difficult difficulty discourage dismiss
        disposal distress disturbance divan done driver eagerness effort eighth element emergency encouragement endorse
        energy entertainment environment examination exceed excite expense explore fame fantastic fate feel fellow
        feminine fence figure fixed foolish forbid foresee former found foundation free frontage fund fur furious
        furnish gain gather gaunt glorious grade grapple grasp habit hard harsh haul head heap helpful herd hidden hit
        hold hole hurry hut identify image imagine imply important impulse indicate indication indictment induce inhibit
        initiate inspection inspire instant instruct intense interference interpreter invest invoke isolation job judge
        keep knock ladder last lawn league lean leather length let level like line lose love lover make making marvel
        mass massive mayor meal mean meaning measure meet mention metropolis misery mistaken mode moist monthly morality
        motive native nature notion object observation observe obtain occasion officer operate opportunity opposite
        origin originate outfit overall part particular percent percentage performance period permanent personality pick
        plank plate pole portal pose position positive post presence prevent previous principle prior prize problem
        process procession produce proper property proposal prosecute provoke pursue quality quarter quiver raise rank
        rate reality realization reason receive recruit refusal refuse remain remainder remove repeat report represent
        representation reproduce responsible retain retention reward rigid room rumor run savage scale scare scheme
        screw secede section secure sense serious settle sew shame sharp shelf shell shiver single sink society sore
        sort source steel steer stiff strike string stupid suggest superior supervise temptation tendency text thwart
        toilet touch tremble trick trouble tube tug understanding unpleasant urge vain valuable variety vicious violate
        volume wage way weekly while willingness wish worry wrong yield
    """,
    "deu": """
        absent absolute abstraction absurdity academy accomplishment admission advanced aerator aesthetic affair
        affection afraid age agency ailment air all allotment alveolus anaconda anastomosis another apprentice apt
        artificial aspect assassin assumption assurance attachment audience babe ballplayer bark basement basis bee belt
        bench bible big binomial blanket blot bone brave breed brick bright brow buckskin bunk bush business button
        cabin calculation calibration canteen casual cattle ceiling cell certain chair chance charged charm chief
        chimney chore circular circumstance clergyman clinical closet cloth clump coat colleague collector college
        column commerce comparable competence competent composed composer composite comrade concentrated conclusive
        confused confusion congregation conjugate constituent contour conventional corn corporal corps corpse
        countenance covered creek crimson crowd crowded crucial cruel custom customary cyclist dark darned data dawn
        dead deaf dealer death debt deduction deficiency definite denial department dependent description detached
        detective diagonalizable different din dirty disabled disc discovery discrimination disposal distance distant
        distinctive distinguished domestic done dosage drawing drum dugout dumb dwelling each eager earth economic
        educational effectiveness ego elbow electoral employment engineering entrance envelope equivalent established
        evidence exact exasperation exception exertion exhausted existing expectation explosive extent external faculty
        faded faithful fame feat federal fee fellow few fibrosis fiction fighter fighting figure final firing fitting
        fixed flatness flexibility flock follower following former formulation foundation fraud frenzy frequency
        frightened fringe fundamental game gap gathering gaunt gay gift goal goodness governor graduation great growing
        guidance guy habit halfback handful handsome happy headquarters high higher highway holder homely homer hoof
        horror horse huge human hunter hunting impurity inadequate indefinite independent indicator infinite innocent
        insane instance intellectual interchange interior internal intersection intricate involved ironical irregularity
        isolated item jaw ketosis killing kind large lazy leading learned ledger leg license life lighted lightning
        limited listener livestock lobe locality lonely losses lost lovely lover lumber lurid machinery magnificent maid
        maintenance major maker manifold manner margin marked marksman mass massive maximum measured merger messenger
        meteoritic method mimesis mind minor missile mode mood moral mound movement municipal musket musketry myth naive
        nature necessity neck negligible nerve nervous notion objection obscurity observer obstacle obvious occasion
        occupant occupation occurrence one operational opposite optimum organic ossification other outstanding overall
        overcast own painful painting particle passion peasant pegboard penalty people persistence pertinent petitioner
        phony piece pitching plank planter plight pole porch posse possession preceding presidential primary prime
        primitive prior private proceeding process procurement profession profile progressive projection property
        proprietorship prospect prospective protective providence quarter queer rabbit rag random rare rating ratio raw
        ray readiness reality receptionist recording recreation redcoat reduced reflection reminder reproach requirement
        residential resistance respiratory restriction revelation rich ridiculous rifle ripe road roadway rookie room
        rough row rugged saloon scattered scholarship secondary security sensitivity separated sergeant servant settler
        shadow shear shutter significance significant silk silly simple sir site size skeletal sky slave sober some sort
        special specialist specific specificity spectacle squad staining stall stereotype sticky stimulus stolid storage
        straw stream striking student sublime subsection subspace suburban such suffering suitable supposed surrounding
        suspended sweet swollen sword tactual tangent target task tattered tender terrible testimony testing textile
        thinking thought threat thyroid thyroxine tiny tissue tonal tongue town tract treasury tremendous troop trooper
        trustee tsunami tune ultimate unadjusted understanding uneasy unfortunate unity unlikely unmolested unstructured
        unusual upper usual utility valley valued vast vertex vessel vicious vindication virtue visual vitality
        vocational voting wagon washing wealth welfare whole wide willing willow wire wit wonderful working writing
    """,
}
LEFT_OUT = {language: frozenset(words.split()) for language, words in LEFT_OUT.items()}
